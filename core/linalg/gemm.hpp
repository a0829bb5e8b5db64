#pragma once

#include "core/linalg/matrix.hpp"

namespace halftone {

enum class Op { plain, transpose };

// c = alpha * op(a) op(b) + beta * c. Tiles of a grid that follows from the shapes alone, each one call of a
// single-threaded library: the same bits for any number of threads. With beta 0 the old c is not read.
void gemm(float alpha, ConstMatrixView a, Op op_a, ConstMatrixView b, Op op_b, float beta, MatrixView c);

// One tile of it, on the calling thread.
void gemm_tile(float alpha, ConstMatrixView a, Op op_a, ConstMatrixView b, Op op_b, float beta, MatrixView c);

// The sum of squares, in double precision and a fixed order.
double squared_norm(ConstMatrixView);

}  // namespace halftone
