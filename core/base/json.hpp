#pragma once

// The one place that includes the JSON library. Members keep their order.
#include <nlohmann/json.hpp>

namespace halftone {

using Json = nlohmann::ordered_json;

// As text for people and programs. File names need not be UTF-8: what is broken in them is replaced, not
// thrown.
inline std::string pretty(const Json& value) {
    return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace halftone
