#include "fp8_kernels.hpp"

#include <halftone/toolbox/float8.hpp>

#include "fp8_converted.hpp"

namespace halftone::fp8::HALFTONE_CPU_LEVEL {

const Kernels kernels = {toolbox::scalar_kernels<toolbox::E4m3fn>(), toolbox::scalar_kernels<toolbox::E5m2>(),
                         toolbox::scalar_kernels<E5m2AsE4m3fn>()};

}  // namespace halftone::fp8::HALFTONE_CPU_LEVEL
