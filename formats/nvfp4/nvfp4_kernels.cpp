#include "nvfp4_kernels.hpp"

#include "nvfp4_blocks.hpp"

namespace halftone::nvfp4::HALFTONE_CPU_LEVEL {

const toolbox::BlockKernels kernels = toolbox::block_kernels<Blocks>();

}  // namespace halftone::nvfp4::HALFTONE_CPU_LEVEL
