// Kernels for devices as the constant data that halftone_add_plugin(... CUDA file.cu) makes of them. C++
// beside the ABI, not part of it.
//
//     HALFTONE_KERNEL_IMAGE(file)                       outside of any namespace; declares the image of
//     file.cu halftone::kernel_image(HALFTONE_IMAGE(file))      the bytes; none if it was built without a
//     compiler for it
#pragma once

#include <cstddef>
#include <span>

#include <halftone/ext/draft/kernels.h>

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

// For extension(): kernels that serve every plan.
inline ht_kernels all_kernels(std::span<const unsigned char> image) {
    return {sizeof(ht_kernels), 0, image.data(), image.size(),
            [](const void*, const char*) noexcept { return int32_t{1}; }};
}

}  // namespace v1
}  // namespace halftone
