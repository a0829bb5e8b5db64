#pragma once

// The one place that includes the JSON library. Members keep their order.
#include <nlohmann/json.hpp>

namespace halftone {

using Json = nlohmann::ordered_json;

}  // namespace halftone
