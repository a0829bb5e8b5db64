#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace halftone {

// The JSON text of a marker's bytes in UTF-8, without a mark of the byte order. Loaders written in Python
// look at the first bytes for UTF-16 and UTF-32, too. Nothing if the bytes are not such text.
std::optional<std::string> decoded_marker(std::string_view bytes);

// Likewise, but what cannot be decoded comes back as it is.
std::string marker_text(std::string bytes);

}  // namespace halftone
