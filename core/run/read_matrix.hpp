#pragma once

#include <functional>
#include <span>

#include "core/checkpoint/checkpoint.hpp"
#include "core/linalg/matrix.hpp"
#include "core/run/weight_reader.hpp"

namespace halftone {

// Calls visit(row, values) for a matrix's rows from above, some whole ones at a time. Exit::input if a value
// is NaN or infinite.
void each_rows_of(const Checkpoint&, const Tensor&,
                  const std::function<void(uint64_t row, std::span<const float> values)>& visit);

// A matrix of a file of factors or statistics, whole. Exit::input if some of it is NaN or infinite.
Matrix read_matrix(const Checkpoint&, const Tensor&);

inline constexpr uint64_t rows_read_at_once = 64;

// Some rows of any weights, whatever they hold.
Matrix read_rows(const WeightReader&, uint64_t first, uint64_t rows);

}  // namespace halftone
