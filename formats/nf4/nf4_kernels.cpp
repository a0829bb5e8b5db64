#include "nf4_kernels.hpp"

#include "nf4_variants.hpp"

namespace halftone::nf4::HALFTONE_CPU_LEVEL {

const Kernels kernels = {toolbox::scalar_kernels<Comfy::Element, toolbox::Scaling::divide>(),
                         toolbox::scalar_kernels<Bitsandbytes::Element>()};

}  // namespace halftone::nf4::HALFTONE_CPU_LEVEL
