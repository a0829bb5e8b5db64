// Codes of 4 bits that stand for any 16 levels, as elements of a scalar format (scalar_format.hpp says what
// an element is), and the two ways from a number to its code: for the CPU's loops, for tables and for
// kernels.
#pragma once

#include <utility>

#include <halftone/toolbox/device.hpp>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// 16 levels in ascending order, as bit patterns of float32:
//
//     struct Book {
//         static constexpr uint32_t level[16], upper[15];
//         static constexpr uint8_t code[16];
//         static constexpr float vanishing;
//     };
//
// upper[i] is the last number that goes to level i or below; code[i] belongs to level i, and without it a
// code is its level's place; what is no larger than `vanishing` goes to 0.
//
// Zero may stand there twice, under two codes. All of it is chains of comparisons and choices, which
// vectorize on every machine where a lookup does not.
template <class Book>
struct Codebook16 {
    using Code = uint8_t;
    static constexpr bool own_codes = requires { Book::code; };
    static constexpr Code lowest = [] {
        if constexpr (own_codes) return Book::code[0];
        return Code{0};
    }();

    HT_DEVICE static Code encode(float t) { return encode(t, Steps()); }
    HT_DEVICE static float decode(Code code) { return decode(code, Steps()); }
    // decode(encode(t))
    HT_DEVICE static float rounded(float t) { return rounded(t, Steps()); }

    HT_DEVICE static Code above(Code code) { return beside<1>(code, Steps()); }
    HT_DEVICE static Code below(Code code) { return beside<-1>(code, Steps()); }

    // The neighbours of x among level * post, of any sign of `post`; at the ends both are the end.
    HT_DEVICE static void around(float x, float post, float& lo, float& hi) {
        around(x, post, lo, hi, Steps());
    }

  private:
    using Steps = std::make_index_sequence<15>;

    template <size_t i>
    HT_DEVICE static Code code_of() {
        if constexpr (own_codes) {
            constexpr uint8_t code = Book::code[i];
            return code;
        } else {
            return i;
        }
    }
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
        if constexpr (own_codes) {
            code = code_of<0>();
            ((code = t > upper<i>() ? static_cast<int32_t>(code_of<i + 1>()) : code), ...);
        } else {
            ((code += t > upper<i>() ? 1 : 0), ...);
        }
        return static_cast<Code>(code);
    }
    template <size_t... i>
    HT_DEVICE static float decode(Code code, std::index_sequence<i...>) {
        const int32_t wanted = code;
        float value = level<0>();
        if constexpr (own_codes)
            ((value = wanted == static_cast<int32_t>(code_of<i + 1>()) ? level<i + 1>() : value), ...);
        else
            ((value = wanted > static_cast<int32_t>(i) ? level<i + 1>() : value), ...);
        return value;
    }
    // The code of the next level of another value in this direction; at the ends the code itself.
    template <int direction, size_t... i>
    HT_DEVICE static Code beside(Code code, std::index_sequence<i...>) {
        const float at = decode(code);
        Code found = code;
        if constexpr (direction < 0)
            ((found = level<i>() < at ? code_of<i>() : found), ...);
        else
            ((found = level<15 - i>() > at ? code_of<15 - i>() : found), ...);
        return found;
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

// Where a floor under absmax sends every number of a block to 0, it is a block of zeros: its `pre` takes all
// to 0, and no level but that one is on its grid. What lies between that and the floor itself is not so
// lucky: there codes are the reference's, and not the nearest.

HT_DEVICE constexpr float storable_absmax(float amax) {
    return amax > 0 && amax < least_stored_scale ? least_stored_scale : amax;
}

// x / absmax, as convert_to_quant 0.3 does it.
template <class Book>
struct DividedCodebook {
    using Element = Codebook16<Book>;
    HT_DEVICE static float pre(float absmax) {
        constexpr float least = 1e-12f, vanishing = Book::vanishing * least, infinity = float_of(0x7F800000);
        return absmax > least ? absmax : absmax > vanishing ? least : infinity;
    }
    HT_DEVICE static Scale scale(float amax) { return {pre(amax), storable_absmax(amax)}; }
};

// x * (1 / absmax), as bitsandbytes does it.
template <class Book>
struct MultipliedCodebook {
    using Element = Codebook16<Book>;
    HT_DEVICE static float pre(float absmax) {
        constexpr float least = 1e-38f, vanishing = Book::vanishing * least;
        return absmax > vanishing ? 1.0f / (absmax > least ? absmax : least) : 0.0f;
    }
    HT_DEVICE static Scale scale(float amax) {
        const float absmax = storable_absmax(amax);
        return {pre(absmax), absmax};
    }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
