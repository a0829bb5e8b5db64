#pragma once

#include "core/plan/plan.hpp"
#include "core/run/device_lanes.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone {

// Whether a device can make a matrix of this format: everything that rounding to nearest calls has a kernel.
bool quantizes_on_device(const FormatPlan&);

// Makes one matrix, rounded to nearest, with its companions: the same bytes as quantize() makes. The matrix
// is read once and lies whole on the device. False if the device could not (no memory, lost); nothing that
// was written by then is wrong.
bool quantize_on_device(const Plan&, const PlannedTensor&, const Output&, Workers&, DeviceLanes&, Progress&);

}  // namespace halftone
