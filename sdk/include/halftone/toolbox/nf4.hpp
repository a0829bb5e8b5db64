// NormalFloat of 4 bits as elements of a scalar format (scalar_format.hpp says what an element is): 16 levels
// that split a normal distribution evenly. The one place that knows them: CPU loops, tables and GPU kernels
// are made from these functions.
#pragma once

#include <utility>

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// Bit patterns of float32. upper[i] is the last number that goes to level i or below.
struct Nf4Levels {
    static constexpr uint32_t level[16] = {
        0xBF800000, 0xBF3239B1, 0xBF066B30, 0xBECA32A0, 0xBE91A24D, 0xBE3D353F, 0xBDBA7871, 0x00000000,
        0x3DA2FAFF, 0x3E24CAE3, 0x3E7C04DD, 0x3EAD033A, 0x3EE1A4B8, 0x3F1007AB, 0x3F3913B3, 0x3F800000};
};
// By the midpoints of neighbours, in float32: bitsandbytes.
struct Nf4ByMidpoint : Nf4Levels {
    static constexpr uint32_t upper[15] = {0xBF591CD8, 0xBF1C5270, 0xBEEB8480, 0xBEADEA76, 0xBE703CEC,
                                           0xBE0D38BC, 0xBD3A7871, 0x3D22FAFF, 0x3DF64862, 0x3E5067E0,
                                           0x3E9582D4, 0x3EC753F9, 0x3F006D04, 0x3F248DAF, 0x3F5C89DA};
};
// By the first of the smallest differences, each rounded to float32: ComfyUI's layout. Off by one unit in the
// last place where that rounding decides.
struct Nf4ByDifference : Nf4Levels {
    static constexpr uint32_t upper[15] = {0xBF591CD9, 0xBF1C5271, 0xBEEB8480, 0xBEADEA77, 0xBE703CED,
                                           0xBE0D38BC, 0xBD3A7871, 0x3D22FAFF, 0x3DF64862, 0x3E5067E0,
                                           0x3E9582D4, 0x3EC753F9, 0x3F006D03, 0x3F248DAF, 0x3F5C89D9};
};

// Levels in ascending order; a code is a level's place. All of it is chains of comparisons and choices, which
// vectorize on every machine where a lookup does not.
template <class Book>
struct Codebook16 {
    using Code = uint8_t;
    static constexpr Code lowest = 0;

    HT_DEVICE static Code encode(float t) { return encode(t, Steps()); }
    HT_DEVICE static float decode(Code code) { return decode(code, Steps()); }
    // decode(encode(t))
    HT_DEVICE static float rounded(float t) { return rounded(t, Steps()); }

    HT_DEVICE static constexpr Code above(Code code) { return static_cast<Code>(code < 15 ? code + 1 : 15); }
    HT_DEVICE static constexpr Code below(Code code) { return static_cast<Code>(code > 0 ? code - 1 : 0); }

    // The neighbours of x among level * post, of any sign of `post`; at the ends both are the end.
    HT_DEVICE static void around(float x, float post, float& lo, float& hi) {
        around(x, post, lo, hi, Steps());
    }

  private:
    using Steps = std::make_index_sequence<15>;

    template <size_t i>
    HT_DEVICE static float level() {
        constexpr uint32_t bits = Book::level[i];
        return float_of(bits);
    }
    template <size_t i>
    HT_DEVICE static float upper() {
        constexpr uint32_t bits = Book::upper[i];
        return float_of(bits);
    }

    template <size_t... i>
    HT_DEVICE static Code encode(float t, std::index_sequence<i...>) {
        int32_t code = 0;
        ((code += t > upper<i>() ? 1 : 0), ...);
        return static_cast<Code>(code);
    }
    template <size_t... i>
    HT_DEVICE static float decode(Code code, std::index_sequence<i...>) {
        const int32_t place = code;
        float value = level<0>();
        ((value = place > static_cast<int32_t>(i) ? level<i + 1>() : value), ...);
        return value;
    }
    template <size_t... i>
    HT_DEVICE static float rounded(float t, std::index_sequence<i...>) {
        float value = level<0>();
        ((value = t > upper<i>() ? level<i + 1>() : value), ...);
        return value;
    }
    template <size_t... i>
    HT_DEVICE static void around(float x, float post, float& lo, float& hi, std::index_sequence<i...>) {
        const float first = level<0>() * post, last = level<15>() * post;
        const float least = first < last ? first : last, most = first < last ? last : first;
        lo = least;
        hi = most;
        (step_around(x, level<i + 1>() * post, lo, hi), ...);
        step_around(x, first, lo, hi);
        lo = x > most ? most : lo;
        hi = x < least ? least : hi;
    }
    HT_DEVICE static void step_around(float x, float value, float& lo, float& hi) {
        lo = value <= x && value > lo ? value : lo;
        hi = value >= x && value < hi ? value : hi;
    }
};

using Nf4Bitsandbytes = Codebook16<Nf4ByMidpoint>;
using Nf4Comfy = Codebook16<Nf4ByDifference>;

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
