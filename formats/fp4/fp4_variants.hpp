// The two ways from a number to its code, for both sides: fp4.cpp and its kernels.
#pragma once

#include <halftone/toolbox/fp4.hpp>

namespace halftone::fp4 {

using Comfy = toolbox::DividedCodebook<toolbox::Fp4ByDifference>;
using Bitsandbytes = toolbox::MultipliedCodebook<toolbox::Fp4ByMidpoint>;

}  // namespace halftone::fp4
