// The elements with their scales, for both sides: fp8.cpp and fp8_device.cu.
#pragma once

#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone::fp8 {

template <class ElementType>
struct Variant {
    using Element = ElementType;

    // The reference's arithmetic: number / tensor is a reciprocal and a product there, each rounded.
    HT_DEVICE static toolbox::Scale scale(float amax) {
        const float floored = amax > 1e-12f ? amax : 1e-12f;
        const float reciprocal = 1.0f / floored;
        const float pre = reciprocal * Element::most;
        return {pre, 1.0f / pre};
    }
};

}  // namespace halftone::fp8
