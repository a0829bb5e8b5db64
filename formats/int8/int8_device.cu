#include <halftone/toolbox/scalar_kernels.cuh>

#include "int8_variants.hpp"

using namespace halftone::int8;

HALFTONE_SCALAR_KERNELS(InBlocks, InBlocks, PerTensor, PerRow)  // in the order of Layout in int8.cpp
HALFTONE_SCALAR_ROTATION
