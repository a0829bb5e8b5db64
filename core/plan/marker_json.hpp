#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"

namespace halftone {

// A layer's marker as loaders in Python read it: JSON in UTF-8, UTF-16 or UTF-32, with a byte order mark or
// without; of a key that comes twice the last counts; NaN and Infinity are numbers.
struct MarkerJson {
    Json value;           // discarded if there is none
    std::string problem;  // why there is none: "its marker is empty"; "" if nothing is wrong
};
MarkerJson read_marker_json(std::span<const std::byte>);

// Python's truth: false, 0, null and what is empty are not true, all else is: "no" as well.
bool is_true(const Json&);

// What int() makes of it: 256 of 256, 256.9, "256" and " 256 "; nothing of null, a list or "large".
std::optional<int64_t> as_whole(const Json&);

// The value under the first of the keys that is there; "params.x" is x inside params, if that is an object. A
// value counts even if it is null. Nothing if the marker has none of them.
const Json* first_of(const Json& marker, const std::vector<std::string>& keys);

}  // namespace halftone
