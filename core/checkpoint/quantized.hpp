#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"

namespace halftone {

// A layer that was quantized by someone: seen from the names and dtypes around its weight, whatever the
// format.
struct QuantizedLayer {
    std::string name;           // the weight's, without ".weight"
    std::string label;          // what the file says it is: "float8_e4m3fn"; "" if it does not say
    std::string evidence;       // the tensor or header entry that told
    std::string configuration;  // the JSON that speaks for it; "" if the file has none
    bool in_header = false;     // the header speaks for it, whatever its marker says
    std::string problem;        // why that cannot be used: "its marker is empty"; "" if nothing is wrong
    std::vector<std::string> companions;  // whole names of its tensors, without the weight and the bias
};

// Suffixes of a layer's name under which tensors beside its weight lie, in any layout: ".weight_scale",
// ".comfy_quant".
std::vector<std::string_view> companion_suffixes();

// The tensors of the layer itself, in the order of names: "x.bias" and "x.weight.absmax" of "x". A name with
// more dots, "x.norm.weight", is another module's.
std::vector<const Tensor*> tensors_of_layer(const Checkpoint&, std::string_view layer);

// Whether a tensor has a name that quantized layers are known to have beside their weight.
bool is_named_like_companion(std::string_view tensor);

// Whether such a tensor means the same in every format, so that no format has to know it: the weight, the
// bias, the marker, input scales.
bool is_known_to_host(std::string_view layer, std::string_view tensor);

// Finds every layer with scales, markers or an entry in the header's quantization metadata, in ascending
// order of names. Scales, empty markers and markers for the whole file prove nothing for a weight in F16,
// BF16, F32 or F64: files in the wild have such dummies beside layers that were left alone. A label, in a
// marker or in the header, is taken at its word whatever the dtype, because loaders do the same. Where both
// speak, the header wins. Exit::input if the header's quantization metadata is no JSON; a marker that is none
// gives no label, and is told as the layer's problem.
enum class BrokenHeader { refused, ignored };  // quantization metadata that is no JSON
std::vector<QuantizedLayer> quantized_layers(const Checkpoint&, BrokenHeader = BrokenHeader::refused);

// The marker tensor of one layer.
struct LayerMarker {
    std::string layer;
    const Tensor* tensor = nullptr;
    std::string text;          // without padding at its end; "" where there is nothing else, or too much
    bool ends_in_nul = false;  // after its text
};
std::vector<LayerMarker> layer_markers(const Checkpoint&);  // in ascending order of names

// The header's key for what is quantized, and how.
inline constexpr std::string_view quantization_metadata_key = "_quantization_metadata";

// Tensors that mark a whole file as quantized, or all of it below their prefix: "scaled_...".
std::vector<std::string> whole_file_markers(const Checkpoint&);

}  // namespace halftone
