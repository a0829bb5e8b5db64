#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/device.hpp>

#include "codebook.hpp"

namespace halftone::asym_w4a8_int8 {

// `step` is the scale of a row, `offset` what decoding adds; levels are in steps. No more numbers at a time
// than a strip has (toolbox/strips.hpp), but for the first two.
struct Kernels {
    float (*largest)(const float* x, size_t n);
    // The scales with which the codebook fits the groups of a row best; gives the largest magnitude that they
    // make.
    float (*fit)(const float* x, size_t groups, size_t group, LevelView codebook, float* scales);
    void (*encode)(const float* x, size_t n, float step, float offset, LevelView, uint8_t* codes);
    void (*decode)(const uint8_t* codes, size_t n, float step, float offset, LevelView, float* values);
    void (*snap)(const float* x, size_t n, float step, float offset, LevelView, float* values);
    void (*around)(const float* x, size_t n, float step, float offset, LevelView, float* lo, float* hi);
    // In steps, of what is stored of a group.
    float (*squared_error)(const float* x, const float* weight, size_t n, float step, LevelView);
    void (*rotate)(float* x, size_t n, size_t group, ptrdiff_t stride);
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::asym_w4a8_int8
