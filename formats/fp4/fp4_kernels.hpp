#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone::fp4 {

struct Kernels {
    toolbox::ScalarKernels comfy, bitsandbytes;
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::fp4
