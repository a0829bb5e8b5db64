// The loops of formats that cut rows into blocks, each with a scale of one byte (padded_blocks.hpp). A kernel
// file, compiled once per CPU level, makes a table of them for its kind of blocks:
//
//     struct Nvfp4Blocks {
//         using Element = E2m1;
//         static constexpr size_t length = 16;
//         static constexpr Scaling scaling = Scaling::divide;
//         static constexpr Packing packing = Packing::high_nibble_first;
//         static constexpr uint8_t most_scale = 0x7E;                the largest byte that is a scale; 0 is
//         the
//                                                                    smallest, and one of no use
//         HT_DEVICE static uint8_t scale(float amax, float of_all);  from the largest magnitude, and the
//         scale
//                                                                    of the whole matrix, 1 if there is none
//         HT_DEVICE static Scale step(uint8_t scale, float of_all);  a `pre` of dead_pre() makes zeros of all
//         static constexpr size_t candidates = 16;                   of a search for the least error; a power
//                                                                    of two
//         HT_DEVICE static constexpr int candidate(int c);           how far from the plain scale; 0 first
//     };
#pragma once

#include <cstring>

#include <halftone/toolbox/nibbles.hpp>
#include <halftone/toolbox/scalar_grid.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// In the grid, after the scalar format's part (scalar_grid.hpp): this, and the scales of all blocks.
struct BlockScales {
    float of_all;  // 1 where the format has none
    uint32_t search;

    HT_DEVICE uint8_t* of_block() { return reinterpret_cast<uint8_t*>(this + 1); }
};

// Elements of one row that lie side by side, from the start of a block on; arrays with an entry per block
// start at that one. Stored bytes are of whole blocks.
struct BlockKernels {
    ScalarKernels scalar;
    // `search`: scales of the least squared error near the plain ones, errors weighted by column (NULL:
    // equally).
    void (*fit)(const float* x, size_t n, float of_all, bool search, const float* column_weight,
                uint8_t* scales, float* pre, float* post);
    void (*steps)(const uint8_t* scales, size_t n, float of_all, float* pre, float* post);
    void (*encode)(const float* x, size_t n, const float* pre, uint8_t* bytes);
    void (*decode)(const uint8_t* bytes, size_t n, const float* post, float* values);
};

// The `pre` that takes every number to 0.
template <class Blocks>
HT_DEVICE constexpr float dead_pre() {
    return Blocks::scaling == Scaling::divide ? __builtin_inff() : 0.0f;
}

template <class Blocks>
HT_DEVICE constexpr uint8_t candidate_scale(uint8_t plain, size_t c) {
    const int32_t at = plain + Blocks::candidate(static_cast<int>(c));
    return static_cast<uint8_t>(at < 0 ? 0 : at > Blocks::most_scale ? Blocks::most_scale : at);
}

// One element's part of a candidate's error; `post` times `unit`.
template <class Blocks>
HT_DEVICE float candidate_error(float x, const float* weight, float pre, float post, float unit) {
    const float off = x * unit - rounded<typename Blocks::Element>(scaled<Blocks::scaling>(x, pre)) * post;
    return weight ? *weight * (off * off) : off * off;
}

// An error, in the last bits of which stands whose it is: of equals the first is the least.
template <class Blocks>
HT_DEVICE constexpr int32_t signed_error(float error, size_t c) {
    constexpr auto places = static_cast<uint32_t>(Blocks::candidates - 1);
    return static_cast<int32_t>((bits_of(error) & ~places) | static_cast<uint32_t>(c));
}

namespace loops {

// Each candidate has a place in every register, so that its errors are added in one order at every CPU level.
template <class Blocks>
HT_DEVICE uint8_t searched_scale(const float* x, size_t n, float amax, float of_all, const float* weight,
                                 uint8_t plain) {
    constexpr size_t candidates = Blocks::candidates;
    const float unit = error_unit(amax);
    float pre[candidates], post[candidates], error[candidates] = {};
    for (size_t c = 0; c < candidates; ++c) {
        const Scale step = Blocks::step(candidate_scale<Blocks>(plain, c), of_all);
        pre[c] = step.pre;
        post[c] = step.post * unit;
    }
    for (size_t i = 0; i < n; ++i)
        for (size_t c = 0; c < candidates; ++c)
            error[c] += candidate_error<Blocks>(x[i], weight ? weight + i : nullptr, pre[c], post[c], unit);
    int32_t least = INT32_MAX;
    for (size_t c = 0; c < candidates; ++c) {
        const int32_t found = signed_error<Blocks>(error[c], c);
        least = found < least ? found : least;
    }
    return candidate_scale<Blocks>(plain, static_cast<size_t>(least) % candidates);
}

// So many elements at once, so that loops over them are long enough for registers of all widths: what blocks
// have one of is spread over their elements first.
inline constexpr size_t block_chunk = 256;

HT_DEVICE float largest_of(const float* x, size_t n) {
    int32_t most = 0;
    HT_ROLLED
    for (size_t i = 0; i < n; ++i) {
        const int32_t size = static_cast<int32_t>(bits_of(x[i]) & 0x7FFFFFFF);
        most = size > most ? size : most;
    }
    return float_of(static_cast<uint32_t>(most));
}

template <class Blocks>
HT_DEVICE void spread(const float* of_block, size_t blocks, float* of_element) {
    for (size_t g = 0; g < blocks; ++g)
        for (size_t k = 0; k < Blocks::length; ++k)
            of_element[g * Blocks::length + k] = of_block[g];
}

template <class Blocks>
static void block_steps(const uint8_t* scales, size_t n, float of_all, float* pre, float* post) {
    HT_INDEPENDENT
    for (size_t g = 0; g < n; ++g) {
        const Scale step = Blocks::step(scales[g], of_all);
        pre[g] = step.pre;
        post[g] = step.post;
    }
}

// One step after another for all blocks; in between, `pre` is their largest magnitudes.
template <class Blocks>
static void fit_blocks(const float* x, size_t n, float of_all, bool search, const float* column_weight,
                       uint8_t* scales, float* pre, float* post) {
    constexpr size_t length = Blocks::length;
    const size_t whole = n / length, rest = n % length, blocks = whole + (rest > 0);
    for (size_t g = 0; g < whole; ++g)
        pre[g] = largest_of(x + g * length, length);  // a constant to the compiler
    if (rest > 0) pre[whole] = largest_of(x + whole * length, rest);
    HT_INDEPENDENT
    for (size_t g = 0; g < blocks; ++g)
        scales[g] = Blocks::scale(pre[g], of_all);
    for (size_t g = 0; search && g < blocks; ++g) {
        const size_t i = g * length, count = g < whole ? length : rest;
        if (pre[g] > 0)
            scales[g] =
                column_weight
                    ? searched_scale<Blocks>(x + i, count, pre[g], of_all, column_weight + i, scales[g])
                    : searched_scale<Blocks>(x + i, count, pre[g], of_all, nullptr, scales[g]);
    }
    block_steps<Blocks>(scales, blocks, of_all, pre, post);
}

template <class Blocks>
static void encode_blocks(const float* x, size_t n, const float* pre, uint8_t* bytes) {
    constexpr size_t length = Blocks::length;
    static_assert(block_chunk % length == 0);
    float by[block_chunk];
    uint8_t codes[block_chunk];
    while (n > 0) {
        const size_t count = n < block_chunk ? n : block_chunk, blocks = (count + length - 1) / length;
        spread<Blocks>(pre, blocks, by);
        HT_INDEPENDENT
        for (size_t k = 0; k < count; ++k)
            codes[k] = static_cast<uint8_t>(Blocks::Element::encode(scaled<Blocks::scaling>(x[k], by[k])));
        for (size_t k = count; k < blocks * length; ++k)
            codes[k] = 0;
        for (size_t g = 0; g < blocks; ++g)
            if (pre[g] == dead_pre<Blocks>()) std::memset(codes + g * length, 0, length);
        if constexpr (Blocks::packing == Packing::bytes) {
            std::memcpy(bytes, codes, blocks * length);
            bytes += blocks * length;
        } else {
            for (size_t k = 0; k < blocks * length / 2; ++k)
                bytes[k] = two_nibbles(codes[2 * k], codes[2 * k + 1], Blocks::packing);
            bytes += blocks * length / 2;
        }
        x += count, pre += blocks, n -= count;
    }
}

template <class Blocks>
static void decode_blocks(const uint8_t* bytes, size_t n, const float* post, float* values) {
    constexpr size_t length = Blocks::length;
    using Code = typename Blocks::Element::Code;
    float by[block_chunk];
    uint8_t codes[block_chunk];
    while (n > 0) {
        const size_t count = n < block_chunk ? n : block_chunk, blocks = (count + length - 1) / length;
        spread<Blocks>(post, blocks, by);
        if constexpr (Blocks::packing == Packing::bytes) {
            std::memcpy(codes, bytes, blocks * length);
            bytes += blocks * length;
        } else {
            for (size_t k = 0; k < blocks * length / 2; ++k) {
                codes[2 * k] = nibble_at(bytes[k], 0, Blocks::packing);
                codes[2 * k + 1] = nibble_at(bytes[k], 1, Blocks::packing);
            }
            bytes += blocks * length / 2;
        }
        HT_INDEPENDENT
        for (size_t k = 0; k < count; ++k)
            values[k] = Blocks::Element::decode(static_cast<Code>(codes[k])) * by[k];
        values += count, post += blocks, n -= count;
    }
}

}  // namespace loops

template <class Blocks>
static constexpr BlockKernels block_kernels() {
    return {scalar_kernels<typename Blocks::Element, Blocks::scaling>(), loops::fit_blocks<Blocks>,
            loops::block_steps<Blocks>, loops::encode_blocks<Blocks>, loops::decode_blocks<Blocks>};
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
