#include "asym_w4a8_int8_kernels.hpp"

#include <halftone/toolbox/hadamard.hpp>

#include "group.hpp"

namespace halftone::asym_w4a8_int8::HALFTONE_CPU_LEVEL {

namespace {

using toolbox::bits_of, toolbox::float_of;

constexpr size_t strip = 512;  // the most numbers that go through the levels together

HT_DEVICE float sum_of_group(const float* x, size_t n) {
    if (n != 2 * lanes) {
        GroupSum<> sum(n);
        sum.add(x, n, 0);
        return sum.total();
    }
    float part[lanes], sum = 0;  // the same for the usual length
    for (size_t k = 0; k < lanes; ++k)
        part[k] = x[k] + x[k + lanes];
    for (size_t k = 0; k < lanes; ++k)
        sum += part[k];
    return sum;
}

float largest(const float* x, size_t n) {
    int32_t most = 0;
    for (size_t i = 0; i < n; ++i) {
        const auto size = static_cast<int32_t>(bits_of(x[i]) & 0x7FFFFFFF);
        most = size > most ? size : most;
    }
    return float_of(static_cast<uint32_t>(most));
}

// The levels that numbers go to, each with its scale.
HT_DEVICE void levels_of(const float* x, const float* scales, size_t n, const OwnLevels& levels,
                         float* values) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i)
        values[i] = level_of(x[i] / scales[i], levels);
}

HT_DEVICE void spread(const float* scales, size_t groups, size_t group, float* to) {
    for (size_t k = 0; k < groups; ++k)
        for (size_t i = 0; i < group; ++i)
            to[k * group + i] = scales[k];
}

// Least squares between codes given and scales found, twice; of so many whole groups that they fit a strip,
// or of one that is longer.
HT_DEVICE float fit_groups(const float* x, size_t groups, size_t group, const OwnLevels& book,
                           float* scales) {
    float by[strip], value[strip], product[strip];
    const size_t n = groups * group, at_once = n < strip ? n : strip;
    for (size_t k = 0; k < groups; ++k)
        scales[k] = first_scale(largest(x + k * group, group));
    for (int round = 0; round < 2; ++round) {
        if (groups > 1 || n <= strip) {
            spread(scales, groups, group, by);
            levels_of(x, by, n, book, value);
            HT_INDEPENDENT
            for (size_t i = 0; i < n; ++i) {
                product[i] = x[i] * value[i];
                value[i] = value[i] * value[i];
            }
            for (size_t k = 0; k < groups; ++k) {
                scales[k] = refitted(scales[k], sum_of_group(product + k * group, group),
                                     sum_of_group(value + k * group, group));
            }
            continue;
        }
        GroupSum<> products(group), squares(group);
        spread(scales, 1, at_once, by);
        for (size_t first = 0, m = 0; first < n; first += m) {
            m = n - first < strip ? n - first : strip;
            levels_of(x + first, by, m, book, value);
            for (size_t i = 0; i < m; ++i) {
                product[i] = x[first + i] * value[i];
                value[i] = value[i] * value[i];
            }
            products.add(product, m, first);
            squares.add(value, m, first);
        }
        scales[0] = refitted(scales[0], products.total(), squares.total());
    }
    float most = 0;
    spread(scales, groups, groups > 1 ? group : at_once, by);
    for (size_t first = 0, m = 0; first < n; first += m) {
        m = n - first < strip ? n - first : strip;
        levels_of(x + first, by, m, book, value);
        for (size_t i = 0; i < m; ++i)
            value[i] *= by[i];
        const float found = largest(value, m);
        most = found > most ? found : most;
    }
    return most;
}

float fit(const float* x, size_t groups, size_t group, LevelView codebook, float* scales) {
    const OwnLevels book(codebook);
    const size_t together = group < strip ? strip / group : 1;
    float most = 0;
    for (size_t k = 0, m = 0; k < groups; k += m) {
        m = groups - k < together ? groups - k : together;
        const float found = fit_groups(x + k * group, m, group, book, scales + k);
        most = found > most ? found : most;
    }
    return most;
}

void encode(const float* x, size_t n, float step, float offset, LevelView levels, uint8_t* codes) {
    const OwnLevels own(levels);
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i)
        codes[i] = code_of(in_steps(x[i], step, offset), own);
}

void decode(const uint8_t* codes, size_t n, float step, float offset, LevelView levels, float* values) {
    for (size_t i = 0; i < n; ++i)
        values[i] = value_of(levels.level[codes[i]], step, offset);
}

void snap(const float* x, size_t n, float step, float offset, LevelView levels, float* values) {
    const OwnLevels own(levels);
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i)
        values[i] = value_of(level_of(in_steps(x[i], step, offset), own), step, offset);
}

void around(const float* x, size_t n, float step, float offset, LevelView levels, float* lo, float* hi) {
    float value[16];
    for (size_t j = 0; j < 16; ++j)
        value[j] = value_of(levels.level[j], step, offset);
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i)
        around_of(x[i], value, lo[i], hi[i]);
}

float squared_error(const float* x, const float* weight, size_t n, float step, LevelView levels) {
    const OwnLevels own(levels);
    GroupSum<> errors(n);
    float error[strip];
    for (size_t first = 0, m = 0; first < n; first += m) {
        m = n - first < strip ? n - first : strip;
        const float* const from = x + first;
        HT_INDEPENDENT
        for (size_t i = 0; i < m; ++i)
            error[i] = error_of(from[i], step, own);
        if (weight)
            for (size_t i = 0; i < m; ++i)
                error[i] = weight[first + i] * error[i];
        errors.add(error, m, first);
    }
    return errors.total();
}

}  // namespace

const Kernels kernels = {largest, fit, encode, decode, snap, around, squared_error, toolbox::loops::hadamard};

}  // namespace halftone::asym_w4a8_int8::HALFTONE_CPU_LEVEL
