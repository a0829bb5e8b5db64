#pragma once

#include <string>

namespace halftone {

// The JSON text of a marker's bytes in UTF-8, without a mark of the byte order. Loaders written in Python
// look at the first bytes for UTF-16 and UTF-32, too. What is none of these comes back as it is.
std::string marker_text(std::string bytes);

}  // namespace halftone
