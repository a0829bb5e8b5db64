#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/device/device.hpp"
#include "core/rounding/problem.hpp"
#include "plugins/optimizer.hpp"

namespace halftone {

// Why a device cannot work on this: the format neither has kernels nor a table, or an operation of the
// optimizer has no kernel. Empty if it can.
std::string why_not_on_device(const RoundingTask&, const Optimizer&);

// What learning on a device holds of the host's memory: the weights, for the CPU to take over, what is
// stored, and what copies go through. Nothing if it is not sure that a device can, for want of kernels.
std::optional<uint64_t> host_bytes_beside_device(const FormatPlan&, const Optimizer&);

// A problem on a device. Everything is enqueued; the host waits for read(), finish(), every 32nd stop(), and
// for each row of a trace. The same bits on the same model of device. Products with the weights' size are
// made from numbers split in two (HT_GEMM_SPLIT), gradients in float32. Throws DeviceFailure; the task lives
// as long as the problem, so that the CPU can take over.
std::unique_ptr<Problem> make_device_problem(const RoundingTask&, std::shared_ptr<Device>, const Optimizer&);

}  // namespace halftone
