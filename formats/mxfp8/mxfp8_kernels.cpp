#include "mxfp8_kernels.hpp"

#include "mxfp8_blocks.hpp"

namespace halftone::mxfp8::HALFTONE_CPU_LEVEL {

const toolbox::BlockKernels kernels = toolbox::block_kernels<Blocks>();

}  // namespace halftone::mxfp8::HALFTONE_CPU_LEVEL
