// The kernels for devices that a format offers, plan by plan.
#pragma once

#include <span>
#include <string_view>

#include <halftone/ext/draft/kernels.h>
#include <halftone/format.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// HT_FORMAT_KERNELS for `extension` of a format F, with the image of its kernels. F has a member
// bool on_device(std::string_view kernel) const: whether there is a kernel that does what this plan does.
template <class F>
const void* kernels_extension(std::string_view id, std::span<const unsigned char> image) {
    static const ht_kernels kernels{
        sizeof(ht_kernels), 0, image.data(), image.size(), [](const void* plan, const char* name) noexcept {
            return static_cast<int32_t>(halftone::detail::of<F>(plan).on_device(name));
        }};
    return id == HT_FORMAT_KERNELS && !image.empty() ? &kernels : nullptr;
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
