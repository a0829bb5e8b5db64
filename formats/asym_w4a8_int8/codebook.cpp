#include "codebook.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/scalar_levels.hpp>

namespace halftone::asym_w4a8_int8 {

const float fixed_codebook[16] = {-0.980602f, -0.794529f, -0.638165f, -0.500986f, -0.377321f, -0.263187f,
                                  -0.155210f, -0.050720f, 0.052541f,  0.156985f,  0.265284f,  0.379533f,
                                  0.502636f,  0.638953f,  0.794876f,  0.980671f};
const float plain_codebook[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};

namespace {

// The last number that goes to `low` rather than to `high`.
float threshold(float low, float high) {
    using toolbox::detail::float_at, toolbox::detail::float_place;
    uint32_t stays = float_place(low), goes = float_place(high);
    while (goes - stays > 1) {
        const uint32_t middle = stays + (goes - stays) / 2;
        const float t = float_at(middle);
        (std::fabs(t - high) < std::fabs(t - low) ? goes : stays) = middle;
    }
    return float_at(stays);
}

}  // namespace

void set_thresholds(Levels& levels) {
    for (size_t i = 0; i < 15; ++i) {
        const float low = levels.level[i], high = levels.level[i + 1];
        levels.upper[i] = low < high ? threshold(low, high) : low;
    }
    levels.upper[15] = std::numeric_limits<float>::infinity();
}

void make_tables(const float (&codebook)[16], Levels* of_scale) {
    for (uint32_t scale = 0; scale < tables; ++scale) {
        Levels& levels = of_scale[scale];
        const float by = scale < tables - 1 ? toolbox::E4m3fn::decode(static_cast<uint8_t>(scale)) : 0;
        for (size_t i = 0; i < 16; ++i)
            levels.level[i] = std::clamp(std::nearbyint(codebook[i] * by), -127.0f, 127.0f) + 0.0f;
        set_thresholds(levels);
    }
}

void fit_codebook(std::vector<float> numbers, float (&codebook)[16]) {
    std::sort(numbers.begin(), numbers.end());
    const auto last = static_cast<float>(numbers.size() - 1);
    for (size_t i = 0; i < 16; ++i) {
        const float step = 1.0f / 15;
        const float rank =
            (i < 8 ? step * static_cast<float>(i) : 1 - step * static_cast<float>(15 - i)) * last;
        const float low = std::floor(rank), weight = rank - low;
        const float a = numbers[static_cast<size_t>(low)], b = numbers[static_cast<size_t>(std::ceil(rank))];
        codebook[i] = weight < 0.5f ? a + weight * (b - a) : b - (b - a) * (1 - weight);
    }
    // Of sorted numbers every level catches a run, which sums from the front tell all about.
    std::vector<double> sum(1, 0.0);
    for (const float x : numbers)
        sum.push_back(sum.back() + static_cast<double>(x));
    for (int round = 0; round < 25; ++round) {
        float next[16];
        for (size_t i = 0, begin = 0; i < 16;) {
            size_t last = i;  // of equal levels, of which the first catches all
            while (last < 15 && codebook[last + 1] == codebook[i])
                ++last;
            const auto end = last == 15 ? numbers.end()
                                        : std::upper_bound(numbers.begin(), numbers.end(),
                                                           threshold(codebook[last], codebook[last + 1]));
            const auto until = static_cast<size_t>(end - numbers.begin());
            std::fill(next + i, next + last + 1, codebook[i]);
            if (until > begin)
                next[i] = static_cast<float>((sum[until] - sum[begin]) / static_cast<double>(until - begin));
            begin = until;
            i = last + 1;
        }
        std::sort(next, next + 16);  // those that caught nothing may have been overtaken
        std::copy(next, next + 16, codebook);
    }
}

}  // namespace halftone::asym_w4a8_int8
