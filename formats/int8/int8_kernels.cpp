#include "int8_kernels.hpp"

#include <halftone/toolbox/hadamard.hpp>
#include <halftone/toolbox/int8.hpp>

namespace halftone::int8::HALFTONE_CPU_LEVEL {

const Kernels kernels = {toolbox::scalar_kernels<toolbox::Int8, toolbox::Scaling::divide>(),
                         toolbox::scalar_kernels<toolbox::Int8>(), toolbox::loops::hadamard};

}  // namespace halftone::int8::HALFTONE_CPU_LEVEL
