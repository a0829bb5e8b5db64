#pragma once

#include <string>

#include "plugins/format.hpp"

namespace halftone {

// What a plan does not keep of the rows and columns that loaders read off the stored weight
// (HT_WANTS_ROWS, HT_WANTS_COLUMNS), as the reason of a refusal; "" if it keeps what was asked. The host
// looks for itself, since a file whose model no loader detects is not noticed before it is loaded.
std::string unkept_wants(const FormatPlan&);

}  // namespace halftone
