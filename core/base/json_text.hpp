#pragma once

#include <string_view>

#include "core/base/json.hpp"

// JSON that files bring. The library copies, compares and writes values by recursion, so that what is nested
// without end would overflow the stack: such text is never made a value.
namespace halftone {

// Members in the order of their names: to find one of many takes no search through all of them, as in Json.
using SortedJson = nlohmann::json;

inline constexpr int deepest_json = 500;  // levels of objects and arrays

// Whether a parser that reads by recursion, as Python's does, would get below that level: text that stops
// being JSON before it does not.
bool is_nested_too_deeply(std::string_view json);

// Discarded if the text is not JSON, or is nested too deeply. Of equal keys the last counts.
Json parse_json(std::string_view);
SortedJson parse_sorted_json(std::string_view);

}  // namespace halftone
