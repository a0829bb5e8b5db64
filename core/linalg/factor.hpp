#pragma once

#include <cstdint>
#include <vector>

#include "core/linalg/matrix.hpp"

namespace halftone {

// A square matrix in double precision, for what float32 cannot hold: Gram matrices and their factors.
struct SquareMatrix {
    explicit SquareMatrix(uint64_t size) : n(size), at(size * size) {}
    double& operator()(uint64_t i, uint64_t j) { return at[i * n + j]; }
    double operator()(uint64_t i, uint64_t j) const { return at[i * n + j]; }

    uint64_t n;
    std::vector<double> at;  // row after row
};

// x' x, each chunk of rows multiplied in float32 and the chunks added in double.
SquareMatrix gram(ConstMatrixView x);

// How far a Gram matrix is from the identity, in its worst element; NaN counts as far.
double departure_from_identity(const SquareMatrix& gram);

SquareMatrix to_double(ConstMatrixView);
Matrix to_float(const SquareMatrix&);

// a = L L' in place, zeros above the diagonal. False, and `a` spoilt, where a pivot is not positive.
bool cholesky(SquareMatrix& a);

// The inverse of a lower triangle, in place.
void invert_lower(SquareMatrix& lower);

// Eigenvalues in ascending order; row i of `a` becomes the eigenvector of value i.
std::vector<double> eigen(SquareMatrix& a);

// Makes the columns of x orthonormal without leaving their span: Cholesky-QR, repeated until it holds to
// float32's precision, with a shift where the columns are nearly dependent. Directions that the columns do
// not determine come out arbitrary, but orthonormal.
void orthonormalize(Matrix& x);

}  // namespace halftone
