#pragma once

#include "core/checkpoint/checkpoint.hpp"
#include "core/linalg/matrix.hpp"

namespace halftone {

// A matrix of a file of factors or statistics, whole. Exit::input if some of it is NaN or infinite.
Matrix read_matrix(const Checkpoint&, const Tensor&);

}  // namespace halftone
