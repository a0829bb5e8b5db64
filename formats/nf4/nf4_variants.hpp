// The two ways from a number to its code, for both sides: nf4.cpp and its kernels.
#pragma once

#include <halftone/toolbox/nf4.hpp>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone::nf4 {

// Where a floor under absmax sends every number of a block to 0, it is a block of zeros: its `pre` takes all
// to 0, and no level but that one is on its grid. Nothing between 0.0398 of the floor and the floor itself is
// so lucky: there codes are the reference's, and not the nearest.
inline constexpr float vanishing = 0.039f;

// x / absmax; the bytes of convert_to_quant 0.3.
struct Comfy {
    using Element = toolbox::Nf4Comfy;
    HT_DEVICE static float pre(float absmax) {
        constexpr float least = 1e-12f, infinity = toolbox::float_of(0x7F800000);
        return absmax > least ? absmax : absmax > vanishing * least ? least : infinity;
    }
    HT_DEVICE static toolbox::Scale scale(float amax) { return {pre(amax), amax}; }
};

// x * (1 / absmax); those of bitsandbytes.
struct Bitsandbytes {
    using Element = toolbox::Nf4Bitsandbytes;
    HT_DEVICE static float pre(float absmax) {
        constexpr float least = 1e-38f;
        return absmax > vanishing * least ? 1.0f / (absmax > least ? absmax : least) : 0.0f;
    }
    HT_DEVICE static toolbox::Scale scale(float amax) { return {pre(amax), amax}; }
};

}  // namespace halftone::nf4
