// The arithmetic of groups: how their scales are found and their numbers go to levels. For the loops of every
// CPU level and for devices.
#pragma once

#include <cstddef>
#include <utility>

#include <halftone/toolbox/device.hpp>
#include <halftone/toolbox/float8.hpp>

#include "codebook.hpp"

namespace halftone::asym_w4a8_int8 {

inline constexpr float least_scale = 1e-8f;
inline constexpr size_t lanes = 8;  // of the registers that PyTorch's sums are made in

namespace detail {
using Steps = std::make_index_sequence<15>;

template <size_t... i>
HT_DEVICE float level_of(float t, const LevelView& levels, std::index_sequence<i...>) {
    float value = levels.level[0];
    ((value = t > levels.upper[i] ? levels.level[i + 1] : value), ...);
    return value;
}
template <size_t... i>
HT_DEVICE int32_t code_of(float t, const LevelView& levels, std::index_sequence<i...>) {
    int32_t code = 0;
    ((code += t > levels.upper[i] ? 1 : 0), ...);
    return code;
}
}  // namespace detail

HT_DEVICE float level_of(float t, const LevelView& levels) {
    return detail::level_of(t, levels, detail::Steps());
}
HT_DEVICE uint8_t code_of(float t, const LevelView& levels) {
    return static_cast<uint8_t>(detail::code_of(t, levels, detail::Steps()));
}

// Levels that nothing can be written to meanwhile.
struct OwnLevels {
    float level[16], upper[16];
    HT_DEVICE explicit OwnLevels(const LevelView& from) {
        for (size_t i = 0; i < 16; ++i) {
            level[i] = from.level[i];
            upper[i] = from.upper[i];
        }
    }
    HT_DEVICE operator LevelView() const { return {level, upper}; }
};

// Sums over a group as PyTorch makes them on its CPUs of 8 numbers to a register: 4 sums of registers, what
// is left over goes to the first of them, and then number by number. One part is enough below 4 registers.
template <size_t parts = 4>
class GroupSum {
  public:
    HT_DEVICE explicit GroupSum(size_t n) : whole_(n / lanes / 4 * 4) {}

    // The numbers from place `first` of the group on, a multiple of the lanes; all but the last ones come in
    // multiples of the lanes, too.
    HT_DEVICE void add(const float* x, size_t n, size_t first) {
        if (n < lanes)
            for (size_t k = 0; k < n; ++k)
                part_[0][k] = x[k];
        for (size_t i = 0; i + lanes <= n; i += lanes) {
            const size_t at = (first + i) / lanes;
            float* const to = part_[parts > 1 && at < whole_ ? at % 4 : 0];
            for (size_t k = 0; k < lanes; ++k)
                to[k] += x[i + k];
        }
    }
    HT_DEVICE float total() {
        for (size_t i = 1; i < parts; ++i)
            for (size_t k = 0; k < lanes; ++k)
                part_[0][k] += part_[i][k];
        float sum = 0;
        for (size_t k = 0; k < lanes; ++k)
            sum += part_[0][k];
        return sum;
    }

  private:
    float part_[parts][lanes] = {};
    size_t whole_;
};

// ---- Scales

// Where the search for a group's scale starts, from its largest magnitude.
HT_DEVICE float first_scale(float amax) {
    return amax > least_scale ? amax : least_scale;
}

// Least squares of numbers on the levels that they go to.
HT_DEVICE float refitted(float scale, float products, float squares) {
    const float found = products / (squares > 1e-8f ? squares : 1e-8f);
    if (!(found <= toolbox::float_of(0x7F7FFFFF))) return scale;
    return found > least_scale ? found : least_scale;
}

// Of codes that stand for -8 to 7; and the largest magnitude that is made with it.
HT_DEVICE float plain_scale(float amax) {
    const float scale = amax / 7.0f;
    return scale > least_scale ? scale : least_scale;
}
HT_DEVICE float most_of_plain(float amax, float scale) {
    return amax >= least_scale ? 7 * scale : 0.0f;
}

// Of a row, from the largest magnitude that the scales of its groups make.
HT_DEVICE float row_step(float most) {
    const float step = most / 127.0f;
    return step > least_scale ? step : least_scale;
}

// Candidates of a search: that many e4m3 numbers up and down.
inline constexpr int farthest_scale = 4;

// The e4m3 number near the plain one with the least error(code); of equal ones the plain one.
#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class Error>
HT_DEVICE uint8_t searched_scale(uint8_t plain, Error error) {
    uint8_t best = plain;
    float least = error(plain);
    for (int away = farthest_scale; away >= -farthest_scale; --away) {
        const int code = plain + away;
        if (away == 0 || code < 0 || code > toolbox::E4m3fnLayout::most_code) continue;
        const float found = error(static_cast<uint8_t>(code));
        if (!(found < least)) continue;
        least = found;
        best = static_cast<uint8_t>(code);
    }
    return best;
}

// ---- Numbers

// What is rounded to a level, and what a level stands for.
HT_DEVICE float in_steps(float x, float step, float offset) {
    return step > 0 ? (x - offset) / step : 0.0f;
}
HT_DEVICE float value_of(float level, float step, float offset) {
    return level * step + offset;
}

// What a number leaves of itself, squared; in steps.
HT_DEVICE float error_of(float x, float step, const LevelView& levels) {
    const float t = in_steps(x, step, 0), away = t - level_of(t, levels);
    return away * away;
}

// The neighbours among ascending values.
HT_DEVICE void around_of(float x, const float (&value)[16], float& lo, float& hi) {
    float less = value[0], more = value[15];
    for (size_t j = 0; j < 16; ++j) {
        less = value[j] <= x && value[j] > less ? value[j] : less;
        more = value[j] >= x && value[j] < more ? value[j] : more;
    }
    lo = x > value[15] ? value[15] : less;
    hi = x < value[0] ? value[0] : more;
}

}  // namespace halftone::asym_w4a8_int8
