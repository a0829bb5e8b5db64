#pragma once

#include "core/checkpoint/checkpoint.hpp"
#include "plugins/format.hpp"

namespace halftone {

// Whether a companion lies in the file as floating point of another type than the plan's F32: its numbers are
// converted, as loaders do it.
bool is_converted(const Tensor&, const StoredTensor&);

// Whether loaders take a tensor, of the right size, for what the plan stores: besides its own type that of
// numbers that are converted, and another type for what are bytes to them.
bool stands_for(const Tensor&, const StoredTensor&);

}  // namespace halftone
