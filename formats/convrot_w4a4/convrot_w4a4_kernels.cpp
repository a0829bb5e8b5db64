#include "convrot_w4a4_kernels.hpp"

#include <halftone/toolbox/hadamard.hpp>
#include <halftone/toolbox/int4.hpp>

namespace halftone::convrot_w4a4::HALFTONE_CPU_LEVEL {

const Kernels kernels = {toolbox::scalar_kernels<toolbox::Int4, toolbox::Scaling::divide>(),
                         toolbox::loops::hadamard};

}  // namespace halftone::convrot_w4a4::HALFTONE_CPU_LEVEL
