#include <halftone/toolbox/scalar_kernels.cuh>

#include "fp4_variants.hpp"

using namespace halftone::fp4;

HALFTONE_SCALAR_KERNELS(Comfy, Bitsandbytes)
