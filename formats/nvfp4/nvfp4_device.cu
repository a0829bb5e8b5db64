#include <halftone/toolbox/block_kernels.cuh>

#include "nvfp4_blocks.hpp"

HALFTONE_BLOCK_KERNELS(halftone::nvfp4::Blocks)
