// What a cast makes of one number, for both sides: the loops for the CPU and cast_device.cu.
#pragma once

#include <halftone/toolbox/float16.hpp>
#include <halftone/toolbox/float8.hpp>

namespace halftone::cast {

enum class To : uint32_t { bf16, f16, f32, e4m3fn, e5m2 };

// The grid: nothing is fitted, but kernels are told by it which type they make.
struct GridHeader {
    To to;
    uint32_t reserved[15];
};
static_assert(sizeof(GridHeader) == 64);

// The nearest values on both sides; beyond the ends both are the end.
template <class Element>
HT_DEVICE void around(float x, float& lo, float& hi) {
    const auto code = Element::encode(x);
    const float nearest = Element::decode(code);
    lo = nearest <= x ? nearest : Element::decode(Element::below(code));
    hi = nearest >= x ? nearest : Element::decode(Element::above(code));
}

}  // namespace halftone::cast
