#pragma once

#include <string>

#include "core/plan/plan.hpp"
#include "core/run/device_lanes.hpp"
#include "core/run/memory_gate.hpp"
#include "core/run/progress.hpp"

namespace halftone {

// Makes one matrix, rounded to nearest, with its companions: the same bytes as quantize() makes. The matrix
// is read once and lies whole on the device. Empty, or why the device could not (no kernel, no memory, lost);
// nothing that was written by then is wrong.
std::string quantize_on_device(const Plan&, const PlannedTensor&, uint64_t expert, const Output&,
                               DeviceLanes&, Progress&);

// What that takes of the host's memory: the lane's staging buffers, what is read into them, the grid and what
// is made of it.
JobMemory memory_to_quantize_on_device(const Plan&, const PlannedTensor&);

}  // namespace halftone
