#pragma once

#include <cstddef>
#include <cstdint>

#include <halftone/cpu.hpp>

namespace halftone {

// Stored elements need no alignment. A widening loop returns how many results are NaN or infinite.
struct ConvertKernels {
    using Widen = uint64_t(const unsigned char* from, float* to, size_t n);
    using Narrow = void(const float* from, unsigned char* to, size_t n);
    Widen *from_f64, *from_f32, *from_f16, *from_bf16, *from_f8_e4m3, *from_f8_e5m2;
    Narrow *to_f32, *to_f16, *to_bf16;
};

HALFTONE_KERNEL_TABLE(ConvertKernels, convert_kernels)

}  // namespace halftone
