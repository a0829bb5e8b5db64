#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone::convrot_w4a4 {

struct Kernels {
    toolbox::ScalarKernels divided;
    void (*rotate)(float* x, size_t n, size_t group, ptrdiff_t stride);
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::convrot_w4a4
