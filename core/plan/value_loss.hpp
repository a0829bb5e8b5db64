#pragma once

#include "core/checkpoint/checkpoint.hpp"

namespace halftone {

// What a tensor of floating-point numbers loses where a loader converts them to another type as they are,
// without a scale: the squared error, relative; infinite where a number does not fit. Reads the tensor, in
// pieces. `to`: F8_E4M3, F8_E5M2, I8 or U8.
double conversion_loss(const Checkpoint&, const Tensor&, ht_dtype to);

}  // namespace halftone
