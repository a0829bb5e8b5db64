// The arithmetic of its blocks, for both sides: nvfp4_kernels.cpp and nvfp4_device.cu.
#pragma once

#include <halftone/toolbox/block_kernels.hpp>
#include <halftone/toolbox/float4.hpp>

namespace halftone::nvfp4 {

// The step of a block is the scale of the whole matrix times its own, a number of type e4m3fn.
struct Blocks {
    using Element = toolbox::E2m1;
    static constexpr size_t length = 16;
    static constexpr toolbox::Scaling scaling = toolbox::Scaling::divide;
    static constexpr toolbox::Packing packing = toolbox::Packing::high_nibble_first;
    static constexpr uint8_t most_scale = 0x7E;

    HT_DEVICE static uint8_t scale(float amax, float of_all) {
        return toolbox::E4m3fn::encode(amax / 6 / of_all);
    }
    HT_DEVICE static toolbox::Scale step(uint8_t scale, float of_all) {
        const float step = of_all * toolbox::E4m3fn::decode(scale);
        return {step > 0 ? step : toolbox::dead_pre<Blocks>(), step};
    }

    // As many as the widest registers have numbers: the plain scale, then those from 6 above it to 9 below.
    static constexpr size_t candidates = 16;
    HT_DEVICE static constexpr int candidate(int c) { return c == 0 ? 0 : c < 7 ? 7 - c : 6 - c; }
};

}  // namespace halftone::nvfp4
