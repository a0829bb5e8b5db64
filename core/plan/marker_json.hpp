#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json_text.hpp"

namespace halftone {

// JSON as Python's reader takes it: of a key that comes twice the last value counts; NaN, Infinity and what
// is too large for a double are numbers.
struct PythonJson {
    SortedJson value;  // discarded if there is none
    bool too_deep = false;
};
PythonJson read_python_json(std::string_view utf8);

// A layer's marker as loaders in Python read it: such JSON in UTF-8, UTF-16 or UTF-32, with a byte order mark
// or without.
struct MarkerJson {
    SortedJson value;     // discarded if there is none
    std::string problem;  // why there is none: "its marker is empty"; "" if nothing is wrong
};
MarkerJson read_marker_json(std::span<const std::byte>);

// Python's truth: false, 0, null and what is empty are not true, all else is: "no" as well.
bool is_true(const SortedJson&);

// What int() makes of it: 256 of 256, 256.9, "256" and " 2_56 "; nothing of null, a list or "large".
std::optional<int64_t> as_whole(const SortedJson&);

// The value under the first of the keys that is there; "params.x" is x inside params, if that is an object. A
// value counts even if it is null. Nothing if the marker has none of them.
const SortedJson* first_of(const SortedJson& marker, const std::vector<std::string>& keys);

// Whether the marker, an object, tells loaders to dequantize before they multiply.
bool asks_for_full_precision(const SortedJson& marker);

// The label of a marker, "" if it names none.
std::string label_of(const SortedJson& marker);

}  // namespace halftone
