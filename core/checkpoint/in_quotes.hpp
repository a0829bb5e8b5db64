#pragma once

#include <fmt/format.h>
#include <string>
#include <string_view>

#include "core/base/text.hpp"

namespace halftone {

// A name from a file as it appears in messages: whatever it contains, they stay one readable line.
inline std::string in_quotes(std::string_view name) {
    return fmt::format("'{}'", text::printable(name));
}

}  // namespace halftone
