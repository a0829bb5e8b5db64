// The layouts with their scales, for both sides: int8.cpp and int8_device.cu. The arithmetic is the
// reference's; number / tensor is a reciprocal and a product there.
#pragma once

#include <halftone/toolbox/int8.hpp>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone::int8 {

struct InBlocks {
    using Element = toolbox::Int8;
    HT_DEVICE static toolbox::Scale scale(float amax) {
        const float scale = amax / 127.0f, floored = scale > 1e-8f ? scale : 1e-8f;
        return {floored, floored};
    }
};

struct PerTensor {
    using Element = toolbox::Int8;
    HT_DEVICE static toolbox::Scale scale(float amax) {
        const float scale = (amax > 1e-12f ? amax : 1e-12f) / 127.0f;
        return {1.0f / scale, scale};
    }
};

struct PerRow {
    using Element = toolbox::Int8;
    HT_DEVICE static toolbox::Scale scale(float amax) {
        const float reciprocal = 1.0f / (amax > 1e-12f ? amax : 1e-12f), pre = reciprocal * 127.0f;
        return {pre, 1.0f / pre};
    }
};

}  // namespace halftone::int8
