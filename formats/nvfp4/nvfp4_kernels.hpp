#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/block_kernels.hpp>

namespace halftone::nvfp4 {

HALFTONE_KERNEL_TABLE(toolbox::BlockKernels, kernels)

}  // namespace halftone::nvfp4
