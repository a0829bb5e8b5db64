// What lets one header serve every CPU level and a GPU. Like everything in toolbox/: C++ beside the ABI, not
// part of it.
#pragma once

#include <cstddef>
#include <cstdint>

// Marks a function that runs on the host and, under nvcc, on the device. It is always inlined: kernels of all
// CPU levels call the same function, and a copy of its own, compiled for one level, would be linked into all
// (see halftone/cpu.hpp).
#if defined(__CUDACC__)
#define HT_DEVICE __host__ __device__ __forceinline__
#elif defined(_MSC_VER) && !defined(__clang__)
#define HT_DEVICE __forceinline
#else
#define HT_DEVICE inline __attribute__((always_inline))
#endif

// In front of a loop whose rounds are independent even if input and output are the same memory.
#if defined(__clang__)
#define HT_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define HT_INDEPENDENT _Pragma("GCC ivdep")
#else
#define HT_INDEPENDENT
#endif

// In front of a short loop of constant length: compilers that unroll it wholly fail to vectorize it.
#if defined(__CUDACC__)
#define HT_ROLLED
#elif defined(__clang__)
#define HT_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define HT_ROLLED _Pragma("GCC unroll 1")
#else
#define HT_ROLLED
#endif

namespace halftone {
inline namespace v1 {
namespace toolbox {

HT_DEVICE constexpr uint32_t bits_of(float value) {
    return __builtin_bit_cast(uint32_t, value);
}

HT_DEVICE constexpr float float_of(uint32_t bits) {
    return __builtin_bit_cast(float, bits);
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
