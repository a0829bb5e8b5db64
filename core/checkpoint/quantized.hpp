#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"

namespace halftone {

// A layer that was quantized by someone: seen from the names and dtypes around its weight, whatever the format.
struct QuantizedLayer {
    std::string name;      // the weight's, without ".weight"
    std::string label;     // what the file says it is: "float8_e4m3fn"; "" if it does not say
    std::string evidence;  // the tensor or header entry that told
    std::vector<std::string> companions;  // whole names of the tensors beside the weight
};

// Finds every layer with scales, markers or an entry in the header's quantization metadata.
std::vector<QuantizedLayer> quantized_layers(const Checkpoint&);

}  // namespace halftone
