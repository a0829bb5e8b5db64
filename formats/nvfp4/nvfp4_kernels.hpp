#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone::nvfp4 {

inline constexpr size_t block = 16;

// Elements of one row that lie side by side, from the start of a block on; arrays with an entry per block
// start at that one. t = x / pre is rounded, value = level * post; a block whose step is 0 has an infinite
// `pre`.
struct Kernels {
    toolbox::ScalarKernels scalar;
    // The step of a block is tensor_scale times its scale, a number of type e4m3fn. `search`: the scale of
    // the least squared error near the plain one, errors weighted by column (NULL: equally).
    void (*fit)(const float* x, size_t n, float tensor_scale, bool search, const float* column_weight,
                uint8_t* scales, float* pre, float* post);
    void (*steps)(const uint8_t* scales, size_t n, float tensor_scale, float* pre, float* post);
    // Both fill or read whole blocks of 8 bytes.
    void (*encode)(const float* x, size_t n, const float* pre, uint8_t* packed);
    void (*decode)(const uint8_t* packed, size_t n, const float* post, float* values);
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::nvfp4
