// The elements with their scales, for both sides: fp8.cpp and fp8_device.cu.
#pragma once

#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone::fp8 {

template <class ElementType>
struct Variant {
    using Element = ElementType;

    // What the largest magnitude becomes, of e5m2 too: its codes reach 128 times further, but with them
    // scales of common weights would be too small for float16, in which loaders may compute. But no code may
    // stand for more than a float32 holds.
    HT_DEVICE static constexpr float largest(float amax) {
        return amax > 0x1p119f ? Element::most : toolbox::E4m3fn::most;
    }

    // The reference's arithmetic: number / tensor is a reciprocal and a product there, each rounded.
    HT_DEVICE static toolbox::Scale scale(float amax) {
        const float floored = amax > 1e-12f ? amax : 1e-12f;
        const float reciprocal = 1.0f / floored;
        const float pre = reciprocal * largest(floored);
        return {pre, 1.0f / pre};
    }
};

}  // namespace halftone::fp8
