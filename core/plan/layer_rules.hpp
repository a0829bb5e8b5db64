#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json_text.hpp"
#include "core/pipeline/document.hpp"
#include "core/tensor/dtype.hpp"

namespace halftone {

// What a loader makes of a layer depends on the module that it is for.
enum class LayerKind { matrix, embedding, stack };

// A tensor of a layer, as a file has it.
struct FoundTensor {
    std::string name;  // after the layer's: ".weight", ".weight_scale"
    ht_dtype dtype = 0;
    Shape shape;
};

struct FoundLayerTensors {
    LayerKind kind = LayerKind::matrix;
    std::vector<FoundTensor> tensors;
    SortedJson marker;  // an object
    uint64_t flat_experts =
        1;  // of a stack whose weight is a matrix, with the rows of these below each other

    const FoundTensor* find(std::string_view name) const;
};

// What a loader does with the layers of a label, tensor by tensor, as [[layer]] in loaders.toml describes it.
struct LayerRule {
    struct Number {  // of the marker, as int() reads it
        std::string name;
        std::vector<std::string> keys;
        std::optional<int64_t> fallback;
        std::string when;  // read only where this holds
    };
    struct Truth {
        std::string name;
        std::vector<std::string> keys;
    };
    struct Text {
        std::vector<std::string> keys;
        std::string fallback;
        std::vector<std::string> only;
    };
    struct Condition {
        std::string holds, why;
    };
    struct Needed {  // a tensor beside the weight
        std::string name;
        bool optional = false;
        std::vector<std::string> dtypes;  // empty: any
        std::vector<std::string> shapes;  // sides as expressions, a name that is not known yet takes the side
        std::string first, bytes;         // of shapes that do not matter: the first side, and the size
        std::string like;                 // another one, whose type counts
        std::string must, why;
    };
    struct Breaks {  // a tensor that the loader ignores though the numbers need it
        std::string name, why;
    };

    std::string loader;
    std::vector<std::string> labels;
    LayerKind kind = LayerKind::matrix;
    std::string refuses;  // why nothing of the kind works; "" if something does
    std::vector<std::string> weight, dtypes;
    std::string flat;       // when a stack's weight may be a matrix, the rows of all experts below each other
    std::string converted;  // floating-point weights of another type are converted to this one by value
    std::vector<Truth> truths;
    std::vector<Number> numbers;
    std::vector<Text> texts;
    std::vector<std::pair<std::string, std::string>> let;
    std::vector<Condition> must;
    std::vector<Needed> tensors;
    std::vector<Breaks> breaks;
    std::optional<std::string> since, activations, hardware, remark;

    bool is_for(const std::string& loader, const std::string& label, LayerKind) const;
};

// Exit::usage with file:line:column.
LayerRule read_layer_rule(const Node&);

// What came of holding a layer against a rule.
struct LayerFinding {
    std::string fault;  // why the loader does not take it; "" if it does
    std::string advice;
    std::vector<std::string> ignored;  // tensors of the layer that the loader does not read
    bool converts = false;       // the weight has another floating-point type than the rule's `converted`
    bool packs_columns = false;  // the weight is stored with other columns than the matrix has
    bool pads_rows = false;      // as far as a bias tells
};
LayerFinding hold_against(const LayerRule&, const FoundLayerTensors&, const std::string& loader_name);

}  // namespace halftone
