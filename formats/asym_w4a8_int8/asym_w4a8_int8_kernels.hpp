#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/device.hpp>

#include "codebook.hpp"

namespace halftone::asym_w4a8_int8 {

// Loops over numbers of one group; `step` is the scale of the row, `offset` what decoding adds.
struct Kernels {
    float (*largest)(const float* x, size_t n);
    // The scale with which the codebook fits a group best, and the largest magnitude that it gives.
    float (*fit)(const float* x, size_t n, LevelView book, float* largest);
    void (*encode)(const float* x, size_t n, float step, float offset, LevelView, uint8_t* codes);
    void (*decode)(const uint8_t* codes, size_t n, float step, float offset, LevelView, float* values);
    void (*snap)(const float* x, size_t n, float step, float offset, LevelView, float* values);
    void (*around)(const float* x, size_t n, float step, float offset, LevelView, float* lo, float* hi);
    float (*squared_error)(const float* x, const float* weight, size_t n, float step, LevelView);
    void (*rotate)(float* x, size_t n, size_t group, ptrdiff_t stride);
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::asym_w4a8_int8
