// The two ways from a number to its code, for both sides: nf4.cpp and its kernels.
#pragma once

#include <halftone/toolbox/nf4.hpp>

namespace halftone::nf4 {

using Comfy = toolbox::DividedCodebook<toolbox::Nf4ByDifference>;
using Bitsandbytes = toolbox::MultipliedCodebook<toolbox::Nf4ByMidpoint>;

}  // namespace halftone::nf4
