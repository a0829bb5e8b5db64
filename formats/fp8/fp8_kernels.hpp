#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone::fp8 {

struct Kernels {
    toolbox::ScalarKernels e4m3fn, e5m2, e5m2_as_e4m3fn;
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::fp8
