#pragma once

#include <array>
#include <optional>
#include <string_view>

#include <halftone/format.h>

namespace halftone {

// The names of layouts, as [output] layout has them; the usual one first.
inline constexpr std::array<std::string_view, 3> layout_names = {"comfyui", "legacy", "bitsandbytes"};

std::string_view layout_name(ht_dialect);  // of one that has none the usual
std::optional<ht_dialect> dialect_of_layout(std::string_view name);

}  // namespace halftone
