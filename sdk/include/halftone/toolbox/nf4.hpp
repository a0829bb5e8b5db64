// NormalFloat of 4 bits: 16 levels that split a normal distribution evenly.
#pragma once

#include <halftone/toolbox/codebook.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// Bit patterns of float32; codebook.hpp says what they mean. A code is the place of its level.
struct Nf4Levels {
    static constexpr uint32_t level[16] = {
        0xBF800000, 0xBF3239B1, 0xBF066B30, 0xBECA32A0, 0xBE91A24D, 0xBE3D353F, 0xBDBA7871, 0x00000000,
        0x3DA2FAFF, 0x3E24CAE3, 0x3E7C04DD, 0x3EAD033A, 0x3EE1A4B8, 0x3F1007AB, 0x3F3913B3, 0x3F800000};
    static constexpr float vanishing = 0.039f;
};
// By the midpoints of neighbours, in float32: bitsandbytes.
struct Nf4ByMidpoint : Nf4Levels {
    static constexpr uint32_t upper[15] = {0xBF591CD8, 0xBF1C5270, 0xBEEB8480, 0xBEADEA76, 0xBE703CEC,
                                           0xBE0D38BC, 0xBD3A7871, 0x3D22FAFF, 0x3DF64862, 0x3E5067E0,
                                           0x3E9582D4, 0x3EC753F9, 0x3F006D04, 0x3F248DAF, 0x3F5C89DA};
};
// By the first of the smallest differences, each rounded to float32: ComfyUI's layout. Off by one unit in the
// last place where that rounding decides.
struct Nf4ByDifference : Nf4Levels {
    static constexpr uint32_t upper[15] = {0xBF591CD9, 0xBF1C5271, 0xBEEB8480, 0xBEADEA77, 0xBE703CED,
                                           0xBE0D38BC, 0xBD3A7871, 0x3D22FAFF, 0x3DF64862, 0x3E5067E0,
                                           0x3E9582D4, 0x3EC753F9, 0x3F006D03, 0x3F248DAF, 0x3F5C89D9};
};

using Nf4Bitsandbytes = Codebook16<Nf4ByMidpoint>;
using Nf4Comfy = Codebook16<Nf4ByDifference>;

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
