// The arithmetic of its blocks, for both sides: mxfp8_kernels.cpp and mxfp8_device.cu.
#pragma once

#include <halftone/toolbox/block_kernels.hpp>
#include <halftone/toolbox/float8.hpp>

namespace halftone::mxfp8 {

// The step of a block is a power of two. A scale is its exponent as float32 has it, 0 a step of 0.
struct Blocks {
    using Element = toolbox::E4m3fn;
    static constexpr size_t length = 32;
    static constexpr toolbox::Scaling scaling = toolbox::Scaling::multiply;  // by a power of two: exact
    static constexpr toolbox::Packing packing = toolbox::Packing::bytes;
    static constexpr uint8_t most_scale = 254;

    // The least power of two that takes amax to 448 = 1.75 * 2^8 or less: 8 less than the exponent of amax,
    // one more if its mantissa is above that of 448.
    HT_DEVICE static uint8_t scale(float amax, float) {
        const uint32_t exponent = (toolbox::bits_of(amax) + 0x1FFFFF) >> 23;
        return static_cast<uint8_t>(exponent > 8 ? exponent - 8 : 0);
    }
    HT_DEVICE static toolbox::Scale step(uint8_t scale, float) {
        if (scale == 0) return {0, 0};
        const uint32_t inverse = 254u - scale;  // of the largest scale a subnormal number
        return {toolbox::float_of(inverse > 0 ? inverse << 23 : 0x400000u),
                toolbox::float_of(static_cast<uint32_t>(scale) << 23)};
    }

    // The plain one and smaller ones. Above it nothing is gained: its grid, up to the largest number, has all
    // that a wider one has.
    static constexpr size_t candidates = 4;
    HT_DEVICE static constexpr int candidate(int c) { return -c; }
};

}  // namespace halftone::mxfp8
