#include <halftone/toolbox/scalar_kernels.cuh>

#include "fp8_variants.hpp"

using E4m3fn = halftone::fp8::Variant<halftone::toolbox::E4m3fn>;
using E5m2 = halftone::fp8::Variant<halftone::toolbox::E5m2>;

HALFTONE_SCALAR_KERNELS(E4m3fn, E5m2)  // as in ElementType of fp8.cpp
