#include <halftone/toolbox/scalar_kernels.cuh>

#include "convrot_w4a4_variants.hpp"

using namespace halftone::convrot_w4a4;

HALFTONE_SCALAR_KERNELS(PerRow)
HALFTONE_SCALAR_ROTATION
