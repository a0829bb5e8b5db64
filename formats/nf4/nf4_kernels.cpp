#include "nf4_kernels.hpp"

#include <halftone/toolbox/nf4.hpp>

namespace halftone::nf4::HALFTONE_CPU_LEVEL {

const Kernels kernels = {toolbox::scalar_kernels<toolbox::Nf4Comfy, toolbox::Scaling::divide>(),
                         toolbox::scalar_kernels<toolbox::Nf4Bitsandbytes>()};

}  // namespace halftone::nf4::HALFTONE_CPU_LEVEL
