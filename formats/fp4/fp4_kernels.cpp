#include "fp4_kernels.hpp"

#include "fp4_variants.hpp"

namespace halftone::fp4::HALFTONE_CPU_LEVEL {

const Kernels kernels = {toolbox::scalar_kernels<Comfy::Element, toolbox::Scaling::divide>(),
                         toolbox::scalar_kernels<Bitsandbytes::Element>()};

}  // namespace halftone::fp4::HALFTONE_CPU_LEVEL
