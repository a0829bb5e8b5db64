#pragma once

#include "core/linalg/matrix.hpp"
#include "plugins/format.hpp"

namespace halftone {

// A sealed grid for a whole matrix in the grid's basis, the same as if it had been fitted band by band.
Grid fitted_grid(const FormatPlan&, ConstMatrixView);

// Rows that are worked on at a time: whole granules, about as many as a core's cache holds.
uint64_t rows_of_a_band(const FormatPlan&);

}  // namespace halftone
