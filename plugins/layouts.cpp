#include "plugins/layouts.hpp"

#include <algorithm>

namespace halftone {
namespace {

// In the order of layout_names.
constexpr std::array<ht_dialect, layout_names.size()> dialects = {HT_DIALECT_COMFY, HT_DIALECT_LEGACY,
                                                                  HT_DIALECT_BITSANDBYTES};

}  // namespace

std::string_view layout_name(ht_dialect dialect) {
    const auto found = std::ranges::find(dialects, dialect);
    return layout_names[found == dialects.end() ? 0 : static_cast<size_t>(found - dialects.begin())];
}

std::optional<ht_dialect> dialect_of_layout(std::string_view name) {
    const auto found = std::ranges::find(layout_names, name);
    if (found == layout_names.end()) return std::nullopt;
    return dialects[static_cast<size_t>(found - layout_names.begin())];
}

}  // namespace halftone
