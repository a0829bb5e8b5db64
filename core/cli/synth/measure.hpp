#pragma once

#include <cstdint>

#include "core/checkpoint/checkpoint.hpp"

namespace halftone::synth {

// What Traits declare, of a matrix in a file.
struct Measured {
    double deviation = 0;  // root mean square outside the outlier columns
    double kurtosis = 0;   // excess, outside the outlier columns
    double decay = 0;
    bool decay_of_all = false;  // all singular values are known, not only the leading ones
    uint64_t outliers = 0;      // columns
    double factor_least = 0, factor_most = 0;
};

// A column is an outlier if it is more than this many times as large as the median column.
inline constexpr double outlier_threshold = 5;

// A matrix of floats that is large enough for statistics to mean something.
inline constexpr uint64_t least_side = 32;
bool measurable(const Tensor&);

// Reads the tensor a few times, in bands. Exit::input if it holds NaN or infinities.
Measured measure(const Checkpoint&, const Tensor&);

}  // namespace halftone::synth
