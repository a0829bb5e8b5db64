#pragma once

#include <cstdint>
#include <string_view>

#include "core/cli/synth/family.hpp"

namespace halftone::synth {

// What makes a matrix look trained. Trained weights have a few strong directions and many weak ones, more
// large elements than a normal distribution, and a few input columns that are much larger than all others; a
// matrix without these is quantized far too well.
struct Traits {
    double deviation = 0;   // root mean square of the elements outside the outlier columns
    double decay = 0;       // singular value i is proportional to i^-decay
    double kurtosis = 0;    // excess kurtosis of the elements outside the outlier columns
    double row_part = 0;    // how much of the kurtosis comes from rows of different size; the rest: columns
    uint32_t outliers = 0;  // columns
    uint32_t outlier_first = 0;  // their singular values: outlier_first, outlier_first + 1, ... (from 0)
    double factor_least = 0;     // root mean square of an outlier column over `deviation`
    double factor_most = 0;
};

// What every matrix keeps to.
struct TraitLimits {
    double decay_least = 0.5, decay_most = 0.8;
    double kurtosis_least = 1, kurtosis_most = 10;
    double share_least = 0.001,
           share_most = 0.01;  // outlier columns; a matrix too narrow for one of them has none
    double factor_least = 8, factor_most = 20;
};
inline constexpr TraitLimits trait_limits;

// Outlier columns are strong directions: with singular values that fall as a power, only so many columns can
// be so large (the squares of the columns' norms are majorized by those of the singular values). They are
// therefore chosen to take a run of the singular values as their own, and the decay is raised where no such
// run would do.
Traits draw_traits(uint64_t seed, std::string_view name, uint64_t rows, uint64_t cols, Kind);

}  // namespace halftone::synth
