#pragma once

#include <halftone/cpu.hpp>

#include "cast_elements.hpp"

namespace halftone::cast {

// Loops over contiguous numbers. Input and output are the same memory or do not overlap; codes need not be
// aligned.
struct Loops {
    uint64_t code_bytes;
    void (*encode)(const float* x, size_t n, uint8_t* codes);
    void (*decode)(const uint8_t* codes, size_t n, float* values);
    void (*snap)(const float* x, size_t n, float* values);
    void (*around)(const float* x, size_t n, float* lo, float* hi);
};

struct Kernels {
    Loops to[5];  // by To
};
HALFTONE_KERNEL_TABLE(Kernels, kernels)

}  // namespace halftone::cast
