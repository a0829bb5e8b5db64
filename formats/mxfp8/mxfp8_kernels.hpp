#pragma once

#include <halftone/cpu.hpp>
#include <halftone/toolbox/block_kernels.hpp>

namespace halftone::mxfp8 {

HALFTONE_KERNEL_TABLE(toolbox::BlockKernels, kernels)

}  // namespace halftone::mxfp8
