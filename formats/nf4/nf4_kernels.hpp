#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone::nf4 {

struct Kernels {
    toolbox::ScalarKernels comfy, bitsandbytes;
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::nf4
