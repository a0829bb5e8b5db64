// The rule of the scale, for both sides: convrot_w4a4.cpp and convrot_w4a4_device.cu.
#pragma once

#include <halftone/toolbox/int4.hpp>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone::convrot_w4a4 {

struct PerRow {
    using Element = toolbox::Int4;
    HT_DEVICE static toolbox::Scale scale(float amax) {
        const float scale = (amax > 1e-10f ? amax : 1e-10f) / 7.0f;
        return {scale, scale};
    }
};

}  // namespace halftone::convrot_w4a4
