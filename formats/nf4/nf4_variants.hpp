// The two ways from a number to its code, for both sides: nf4.cpp and its kernels.
#pragma once

#include <halftone/toolbox/nf4.hpp>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone::nf4 {

// x / absmax; the bytes of convert_to_quant 0.3.
struct Comfy {
    using Element = toolbox::Nf4Comfy;
    HT_DEVICE static float pre(float absmax) { return absmax > 1e-12f ? absmax : 1e-12f; }
    HT_DEVICE static toolbox::Scale scale(float amax) {
        return {amax == 0 ? toolbox::float_of(0x7F800000) : pre(amax),
                amax};  // a block of zeros: every x / pre is 0
    }
};

// x * (1 / absmax); those of bitsandbytes.
struct Bitsandbytes {
    using Element = toolbox::Nf4Bitsandbytes;
    HT_DEVICE static float pre(float absmax) { return 1.0f / (absmax > 1e-38f ? absmax : 1e-38f); }
    HT_DEVICE static toolbox::Scale scale(float amax) { return {amax == 0 ? 0.0f : pre(amax), amax}; }
};

}  // namespace halftone::nf4
