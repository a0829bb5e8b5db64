#pragma once

#include <string>

// The one place that includes the JSON library. Members keep their order.
#include <nlohmann/json.hpp>

namespace halftone {

using Json = nlohmann::ordered_json;

// As text for people and programs, in many lines or in one. File names need not be UTF-8: what is broken in
// them is replaced, not thrown. Characters that could steer a terminal are escaped.
std::string pretty(const Json&);
std::string in_one_line(const Json&);

}  // namespace halftone
