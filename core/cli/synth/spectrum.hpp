#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace halftone::synth {

// Of a symmetric matrix of size x size, descending. Householder to tridiagonal form, then implicit QL.
std::vector<double> eigenvalues(std::vector<double> matrix, size_t size);

// A matrix that is read in bands of rows, as often as needed: calls the function with one band after the
// other.
struct BandedMatrix {
    uint64_t rows = 0, cols = 0;
    std::function<void(const std::function<void(std::span<const float> band)>&)> each_band;
};

// Its largest singular values, descending: all of them if the shorter side is at most `exact_rank` long,
// otherwise `leading` by subspace iteration.
struct SingularValues {
    static constexpr uint64_t exact_rank = 512, leading = 48;
    std::vector<double> values;
    bool all = false;
};
SingularValues singular_values(const BandedMatrix&);

// The a of the power law i^-a that fits the leading part best: a quarter of the spectrum, but no more than
// SingularValues::leading, every octave with the same weight.
double fitted_decay(const SingularValues&, uint64_t rank);

}  // namespace halftone::synth
