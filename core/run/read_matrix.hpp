#pragma once

#include <functional>
#include <span>

#include "core/checkpoint/checkpoint.hpp"
#include "core/linalg/matrix.hpp"

namespace halftone {

// Calls band(row, values) for a matrix's rows from above, some whole ones at a time. Exit::input if a value
// is NaN or infinite.
void each_band(const Checkpoint&, const Tensor&,
               const std::function<void(uint64_t row, std::span<const float> values)>& band);

// A matrix of a file of factors or statistics, whole. Exit::input if some of it is NaN or infinite.
Matrix read_matrix(const Checkpoint&, const Tensor&);

}  // namespace halftone
