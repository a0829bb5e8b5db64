// The option `scale` of every format that has scales: by the largest magnitude, or searched.
#pragma once

#include <halftone/plugin.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

enum class ScaleFit { absmax, mse };
inline constexpr const char* scale_fit_names[] = {"absmax", "mse", nullptr};
inline constexpr ht_option scale_option = choice(
    "scale", "absmax", scale_fit_names, "scales from the largest magnitude, or of the least squared error");

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
