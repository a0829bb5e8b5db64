#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone::int8 {

struct Kernels {
    toolbox::ScalarKernels divided,
        multiplied;  // how a number gets to its code: x / scale, or x * (1 / scale)
    void (*rotate)(float* x, size_t n, size_t group, ptrdiff_t stride);
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::int8
