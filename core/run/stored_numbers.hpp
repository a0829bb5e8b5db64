#pragma once

#include <cstddef>
#include <span>

#include "plugins/format.hpp"

namespace halftone {

// Looks at what companion() has made of one stored tensor before it is written: scales and the like must be
// finite and not negative, codebooks finite. Exit::plugin with the function, the tensor and the element
// otherwise. Bytes that are numbers only to the format are not judged.
void check_companion(const FormatPlan&, const StoredTensor&, std::span<const std::byte>);

}  // namespace halftone
