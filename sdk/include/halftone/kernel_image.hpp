// Kernels for devices as the constant data that halftone_add_plugin(... CUDA file.cu) makes of them. C++
// beside the ABI, not part of it.
//
//     HALFTONE_KERNEL_IMAGE(file)                       outside of any namespace; declares the image of
//     file.cu halftone::kernel_image(HALFTONE_IMAGE(file))      the bytes; none if it was built without a
//     compiler for it
#pragma once

#include <cstddef>
#include <span>

#define HALFTONE_KERNEL_IMAGE(file)                                                                 \
    extern "C" {                                                                                    \
    extern __attribute__((visibility("hidden"))) const unsigned char halftone_image_##file[];       \
    extern __attribute__((visibility("hidden"))) const unsigned char halftone_image_##file##_end[]; \
    }
#define HALFTONE_IMAGE(file) halftone_image_##file, halftone_image_##file##_end

namespace halftone {
inline namespace v1 {

inline std::span<const unsigned char> kernel_image(const unsigned char* begin, const unsigned char* end) {
    return {begin, end};
}

}  // namespace v1
}  // namespace halftone
