#include <halftone/toolbox/block_kernels.cuh>

#include "mxfp8_blocks.hpp"

HALFTONE_BLOCK_KERNELS(halftone::mxfp8::Blocks)
