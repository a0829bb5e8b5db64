#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/text.hpp"

namespace halftone {

// "1 tensor", "1,200 tensors"
inline std::string plural(uint64_t count, std::string_view noun) {
    return text::grouped(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace halftone
