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
};

template <Scaling scaling>
HT_DEVICE constexpr float scaled(float x, float pre) {
    return scaling == Scaling::divide ? x / pre : x * pre;
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
        values[i] = Element::decode(Element::encode(scaled<scaling>(x[i], pre))) * post;
}

template <class Element, Scaling scaling>
static void around(const float* x, size_t n, float pre, float post, float* lo, float* hi) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        const float at = x[i];
        const auto code = Element::encode(scaled<scaling>(at, pre));
        const float nearest = Element::decode(code) * post;
        const float less = Element::decode(Element::below(code)) * post;
        const float more = Element::decode(Element::above(code)) * post;
        lo[i] = nearest <= at ? nearest : less;
        hi[i] = nearest >= at ? nearest : more;
    }
}

}  // namespace loops

template <class Element, Scaling scaling = Scaling::multiply>
static constexpr ScalarKernels scalar_kernels() {
    return {loops::largest<Element>, loops::encode<Element, scaling>, loops::decode<Element>,
            loops::snap<Element, scaling>, loops::around<Element, scaling>};
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
