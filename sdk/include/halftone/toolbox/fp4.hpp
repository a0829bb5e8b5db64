// The 4-bit floating-point numbers of bitsandbytes, which are not E2M1: sign in the upper bit, and 0, 1/192,
// 2/3, 1, 1/3, 1/2, 1/6 and 1/4 in the order of the other three.
#pragma once

#include <halftone/toolbox/codebook.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// Bit patterns of float32; codebook.hpp says what they mean.
struct Fp4Levels {
    static constexpr uint32_t level[16] = {
        0xBF800000, 0xBF2AAAAB, 0xBF000000, 0xBEAAAAAB, 0xBE800000, 0xBE2AAAAB, 0xBBAAAAAB, 0x00000000,
        0x00000000, 0x3BAAAAAB, 0x3E2AAAAB, 0x3E800000, 0x3EAAAAAB, 0x3F000000, 0x3F2AAAAB, 0x3F800000};
    static constexpr float vanishing = 0.0026f;
};
// By the midpoints of neighbours, a tie to the lower: bitsandbytes' PyTorch backend. Which zero is which
// comes from a sort that leaves both as they are; what is above 0 gets the code of -0.
struct Fp4ByMidpoint : Fp4Levels {
    static constexpr uint8_t code[16] = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};
    static constexpr uint32_t upper[15] = {0xBF555556, 0xBF155556, 0xBED55556, 0xBE955556, 0xBE555556,
                                           0xBDB00000, 0xBB2AAAAB, 0x00000000, 0x3B2AAAAB, 0x3DB00000,
                                           0x3E555556, 0x3E955556, 0x3ED55556, 0x3F155556, 0x3F555556};
};
// By the first of the smallest differences, each rounded to float32: ComfyUI's layout. The code of -0 does
// not occur.
struct Fp4ByDifference : Fp4Levels {
    static constexpr uint8_t code[16] = {11, 10, 13, 12, 15, 14, 9, 8, 0, 1, 6, 7, 4, 5, 2, 3};
    static constexpr uint32_t upper[15] = {0xBF555556, 0xBF155556, 0xBED55556, 0xBE955556, 0xBE555556,
                                           0xBDB00001, 0xBB2AAAAC, 0xBB2AAAAC, 0x3B2AAAAB, 0x3DB00000,
                                           0x3E555555, 0x3E955555, 0x3ED55555, 0x3F155555, 0x3F555555};
};

using Fp4Bitsandbytes = Codebook16<Fp4ByMidpoint>;
using Fp4Comfy = Codebook16<Fp4ByDifference>;

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
