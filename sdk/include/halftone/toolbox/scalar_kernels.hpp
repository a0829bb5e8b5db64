// The loops of a scalar format over contiguous numbers that share one scale. A kernel file, compiled once per
// CPU level, makes a table of them for each element:
//
//     namespace HALFTONE_CPU_LEVEL {
//     const Kernels kernels = {toolbox::scalar_kernels<toolbox::E4m3fn>()};
//     }
//
// The templates have internal linkage and call nothing that is not inlined by force: no level's code can
// stand in for another's. All levels give the same bits, since each element goes through the same operations.
#pragma once

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// How a scale gets from a number to t, the number that is rounded: t = x * pre or t = x / pre.
enum class Scaling { multiply, divide };

// Input and output are the same memory or do not overlap.
struct ScalarKernels {
    float (*largest)(const float* x, size_t n);  // max |x|; 0 if there are none
    void (*encode)(const float* x, size_t n, float pre, uint8_t* codes);
    void (*decode)(const uint8_t* codes, size_t n, float post, float* values);
    void (*snap)(const float* x, size_t n, float pre, float post, float* values);
    void (*around)(const float* x, size_t n, float pre, float post, float* lo, float* hi);
    // For scale_search.hpp. `weight` is one number per element, or NULL for 1.
    float (*squared_error)(const float* x, const float* weight, size_t n, float pre, float post, float unit);
    void (*moments)(const float* x, const float* weight, size_t n, float pre, float unit, float sums[2]);
};

template <Scaling scaling>
HT_DEVICE constexpr float scaled(float x, float pre) {
    return scaling == Scaling::divide ? x / pre : x * pre;
}

// The value of the code that t goes to; elements may have a shorter way to it.
template <class Element>
HT_DEVICE float rounded(float t) {
    if constexpr (requires { Element::rounded(t); })
        return Element::rounded(t);
    else
        return Element::decode(Element::encode(t));
}

// What errors are multiplied by before they are squared: a power of two near 1 / amax, so that no square
// overflows or vanishes.
HT_DEVICE float error_unit(float amax) {
    const uint32_t exponent = bits_of(amax) >> 23 & 0xFF;
    return float_of((exponent < 253 ? 254 - exponent : 1) << 23);
}

namespace loops {

// Non-negative floats are ordered as their bits are, and integers vectorize without leave to reorder.
template <class Element>
static float largest(const float* x, size_t n) {
    int32_t most = 0;
    for (size_t i = 0; i < n; ++i) {
        const int32_t size = static_cast<int32_t>(bits_of(x[i]) & 0x7FFFFFFF);
        most = size > most ? size : most;
    }
    return float_of(static_cast<uint32_t>(most));
}

template <class Element, Scaling scaling>
static void encode(const float* x, size_t n, float pre, uint8_t* codes) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i)
        codes[i] = static_cast<uint8_t>(Element::encode(scaled<scaling>(x[i], pre)));
}

template <class Element>
static void decode(const uint8_t* codes, size_t n, float post, float* values) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i)
        values[i] = Element::decode(static_cast<typename Element::Code>(codes[i])) * post;
}

template <class Element, Scaling scaling>
static void snap(const float* x, size_t n, float pre, float post, float* values) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i)
        values[i] = rounded<Element>(scaled<scaling>(x[i], pre)) * post;
}

template <class Element, Scaling scaling>
static void around(const float* x, size_t n, float pre, float post, float* lo, float* hi) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        const float at = x[i];
        if constexpr (requires { Element::around(at, post, lo[i], hi[i]); }) {
            float less, more;
            Element::around(at, post, less, more);
            lo[i] = less;
            hi[i] = more;
            continue;
        }
        const auto code = Element::encode(scaled<scaling>(at, pre));
        const float nearest = Element::decode(code) * post;
        const float less = Element::decode(Element::below(code)) * post;
        const float more = Element::decode(Element::above(code)) * post;
        lo[i] = nearest <= at ? nearest : less;
        hi[i] = nearest >= at ? nearest : more;
    }
}

// Sums have as many parts as the widest registers have numbers, whatever the level, and these are added in
// one order: the same bits everywhere.
inline constexpr size_t sum_parts = 16;

HT_DEVICE float sum_of(float (&part)[sum_parts]) {
    for (size_t half = sum_parts / 2; half > 0; half /= 2)
        for (size_t k = 0; k < half; ++k)
            part[k] += part[k + half];
    return part[0];
}

template <class Element, Scaling scaling, bool weighted>
HT_DEVICE float error_of(float x, const float* weight, float pre, float post, float unit) {
    const float error = (x - rounded<Element>(scaled<scaling>(x, pre)) * post) * unit;
    if constexpr (weighted)
        return *weight * (error * error);
    else
        return error * error;
}

template <class Element, Scaling scaling, bool weighted>
static float sum_errors(const float* x, const float* weight, size_t n, float pre, float post, float unit) {
    float part[sum_parts] = {};
    size_t i = 0;
    for (; i + sum_parts <= n; i += sum_parts)
        for (size_t k = 0; k < sum_parts; ++k)
            part[k] += error_of<Element, scaling, weighted>(x[i + k], weight + i + k, pre, post, unit);
    for (size_t k = 0; i < n; ++i, ++k)
        part[k] += error_of<Element, scaling, weighted>(x[i], weight + i, pre, post, unit);
    return sum_of(part);
}

// Of what is stored: the sum of weight * ((x - value) * unit)^2.
template <class Element, Scaling scaling>
static float squared_error(const float* x, const float* weight, size_t n, float pre, float post, float unit) {
    return weight ? sum_errors<Element, scaling, true>(x, weight, n, pre, post, unit)
                  : sum_errors<Element, scaling, false>(x, x, n, pre, post, unit);
}

template <class Element, Scaling scaling, bool weighted>
static void sum_moments(const float* x, const float* weight, size_t n, float pre, float unit, float sums[2]) {
    float with_x[sum_parts] = {}, square[sum_parts] = {};
    const auto whole = n / sum_parts * sum_parts;
    for (size_t i = 0; i < whole; i += sum_parts)
        for (size_t k = 0; k < sum_parts; ++k) {
            const float level = rounded<Element>(scaled<scaling>(x[i + k], pre));
            const float share = weighted ? weight[i + k] * level : level;
            with_x[k] += share * (x[i + k] * unit);
            square[k] += share * level;
        }
    for (size_t i = whole; i < n; ++i) {
        const float level = rounded<Element>(scaled<scaling>(x[i], pre));
        const float share = weighted ? weight[i] * level : level;
        with_x[i - whole] += share * (x[i] * unit);
        square[i - whole] += share * level;
    }
    sums[0] = sum_of(with_x);
    sums[1] = sum_of(square);
}

// What the best scale for these codes is made of: the sums of weight * x * unit * level and weight * level^2.
template <class Element, Scaling scaling>
static void moments(const float* x, const float* weight, size_t n, float pre, float unit, float sums[2]) {
    if (weight)
        sum_moments<Element, scaling, true>(x, weight, n, pre, unit, sums);
    else
        sum_moments<Element, scaling, false>(x, x, n, pre, unit, sums);
}

}  // namespace loops

template <class Element, Scaling scaling = Scaling::multiply>
static constexpr ScalarKernels scalar_kernels() {
    return {loops::largest<Element>,         loops::encode<Element, scaling>,
            loops::decode<Element>,          loops::snap<Element, scaling>,
            loops::around<Element, scaling>, loops::squared_error<Element, scaling>,
            loops::moments<Element, scaling>};
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
