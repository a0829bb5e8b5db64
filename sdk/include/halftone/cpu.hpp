// One source, several instruction sets: a table of kernels per CPU level, and the choice at run time.
// Header-only C++ beside the ABI, not part of it. With KERNELS of halftone_add_plugin(), or
// halftone_kernel_levels():
//
//     kernels.hpp          struct Kernels {
//                              void (*encode)(const float* from, uint8_t* to, size_t n);
//                          };
//                          HALFTONE_KERNEL_TABLE(Kernels, kernels)
//
//     encode_kernels.cpp   #include "kernels.hpp"
//                          namespace HALFTONE_CPU_LEVEL {
//                          namespace {
//                          void encode(const float* from, uint8_t* to, size_t n) { ...a plain loop... }
//                          }
//                          const Kernels kernels = {encode};
//                          }
//
//     elsewhere            kernels(host->cpu).encode(from, to, n);
//
// All of it may lie in a namespace of yours: namespace acme { ... } and namespace acme::HALFTONE_CPU_LEVEL {
// ... }.
//
// What a kernel file calls must be its own, inside that namespace and best inside an unnamed one. An inline
// function from elsewhere (std::min, std::bit_cast, a function of your other headers) would be compiled with
// this level's instructions under a name that all levels share, and the linker keeps only one of them: a
// machine without AVX-512 may then meet it in code that has nothing to do with kernels. C functions and
// compiler builtins are fine.
#pragma once

#include <halftone/services.h>

// Declares `const Table name` of each level, which the kernel file defines, and outside of kernel files
// `const Table& name(ht_cpu allowed)`: the best table that is built and that ht_host.cpu permits.
#define HALFTONE_KERNEL_TABLE(Table, name) \
    namespace baseline {                   \
    extern const Table name;               \
    }                                      \
    namespace avx2 {                       \
    extern const Table name;               \
    }                                      \
    namespace avx512 {                     \
    extern const Table name;               \
    }                                      \
    HALFTONE_KERNEL_CHOICE(Table, name)

// HALFTONE_CPU_LEVELS, how many levels are built, is defined for the sources of the target that owns the
// kernels; the kernels themselves have no need to choose.
#if !defined(HALFTONE_CPU_LEVELS)
#define HALFTONE_KERNEL_CHOICE(Table, name)
#elif HALFTONE_CPU_LEVELS == 1
#define HALFTONE_KERNEL_CHOICE(Table, name) \
    inline const Table& name(ht_cpu) {      \
        return baseline::name;              \
    }
#else
#define HALFTONE_KERNEL_CHOICE(Table, name)               \
    inline const Table& name(ht_cpu allowed) {            \
        return allowed >= HT_CPU_AVX512 ? avx512::name    \
               : allowed == HT_CPU_AVX2 ? avx2::name      \
                                        : baseline::name; \
    }
#endif
