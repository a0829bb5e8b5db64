#include <halftone/toolbox/scalar_kernels.cuh>

#include "nf4_variants.hpp"

using namespace halftone::nf4;

HALFTONE_SCALAR_KERNELS(Comfy, Bitsandbytes)
