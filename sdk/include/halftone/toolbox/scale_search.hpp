// scale = "mse": of several scales, the one whose stored numbers have the least squared error.
//
// Candidates shrink or widen the group's largest magnitude, go through the format's own rule to a scale that
// can be stored, and are judged by what decoding with it gives back (squared_error in scalar_kernels.hpp).
// The scale of the unchanged magnitude is kept unless another is better; of equals the largest wins. Formats
// with few scales to choose from try them themselves, from the largest down, and need only squared_error and
// error_unit(). For the CPU and for kernels.
#pragma once

#include <cfloat>
#include <cstdint>

#include <halftone/toolbox/scalar_grid.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// Pieces that squared_error and moments are asked for are no longer: longer ones would lose digits of their
// sums, which are float32. Sums of pieces are double, in the order of the pieces.
inline constexpr uint64_t search_piece = 512;

// What the magnitude is multiplied by: 1.24, 1.21, ..., 0.49. Wider than 1 pays with few levels, where
// the one at the end is better spent on a number that is not quite the largest.
inline constexpr int search_candidates = 26;
HT_DEVICE constexpr float search_factor(int candidate) {
    return 1.0f + 0.03f * static_cast<float>(8 - candidate);
}
inline constexpr int unchanged_candidate = 8;

// Around a winner, where the whole matrix shares the scale and each look at it is a pass.
inline constexpr int search_fine_candidates = 4;
HT_DEVICE constexpr float search_fine_factor(int candidate) {
    constexpr float factors[search_fine_candidates] = {1.02f, 1.01f, 0.99f, 0.98f};
    return factors[candidate];
}

inline constexpr double no_limit = DBL_MAX;  // of errors: sums of squares near 1

// The sums of loops::moments over a group.
struct Moments {
    double with_x = 0, square = 0;
};

// The best scale of a group. rule(magnitude) gives a Scale; error(scale, most) its squared error, or anything
// from `most` on as soon as it is known to be no less than that; moments(scale, unit) the sums for its codes.
template <class Rule, class Error, class MomentsOf>
HT_DEVICE Scale search_scale(float amax, Rule&& rule, Error&& error, MomentsOf&& moments) {
    float magnitude = amax;
    Scale best = rule(amax);
    double least = error(best, no_limit);
    float tried = best.post;
    const auto attempt = [&](float other) {
        if (!(other > 0 && other <= FLT_MAX)) return false;
        const Scale scale = rule(other);
        if (scale.post == tried || scale.post == best.post) return false;
        tried = scale.post;
        const double sum = error(scale, least);
        if (!(sum < least)) return false;
        least = sum;
        best = scale;
        magnitude = other;
        return true;
    };
    for (int candidate = 0; candidate < search_candidates; ++candidate)
        if (candidate != unchanged_candidate) attempt(amax * search_factor(candidate));

    // The codes of the winner may be better served by a scale between the candidates, which may change codes.
    const float unit = error_unit(amax);
    for (int round = 0; round < 3; ++round) {
        const Moments sums = moments(best, unit);
        if (!(sums.square > 0) || !(best.post > 0)) break;
        const double ideal = sums.with_x / sums.square / static_cast<double>(unit);
        if (!attempt(static_cast<float>(magnitude * (ideal / static_cast<double>(best.post))))) break;
    }
    return best;
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
