#pragma once

#include <cstddef>
#include <string>

#include "core/checkpoint/json_reader.hpp"

namespace halftone {

// What a marker or an entry of the header's quantization metadata says about one layer.
struct LayerConfiguration {
    std::string label;      // the text under "format"; "" if there is none
    std::string text;       // the whole as JSON
    bool too_long = false;  // more than `largest_configuration`; the text is not whole then
};

// No marker of a layer is longer. What is, was not meant as one.
inline constexpr size_t largest_configuration = 64 * 1024;

// Reads the value that comes next, of whatever kind it is, and leaves the reader behind it.
LayerConfiguration read_configuration(JsonReader&);

}  // namespace halftone
