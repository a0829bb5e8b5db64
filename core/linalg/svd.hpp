#pragma once

#include <cstdint>
#include <vector>

#include "core/linalg/matrix.hpp"
#include "core/tensor/rank_rule.hpp"

namespace halftone {

// The leading singular values and vectors: a = left' diag(values) right' as far as they go.
struct TruncatedSvd {
    Matrix left;   // rank x rows, orthonormal rows
    Matrix right;  // cols x rank, orthonormal columns
    std::vector<double> values;
};

// By randomized subspace iteration (Halko, Martinsson, Tropp: algorithms 4.4 and 5.1) with four power
// iterations and ten more directions than asked for; the start depends on seed and shape alone.
constexpr uint32_t svd_extra_directions = 10, svd_power_iterations = 4;
TruncatedSvd truncated_svd(ConstMatrixView a, uint64_t rank, uint64_t seed);

// The largest singular value, from below, to about a percent.
double spectral_norm(ConstMatrixView);

}  // namespace halftone
