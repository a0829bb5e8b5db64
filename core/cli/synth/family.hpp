#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor/dtype.hpp"

namespace halftone::synth {

enum class Kind { matrix, embedding, bias, norm };

enum class Scale { tiny, small, full };
inline constexpr std::array<std::string_view, 3> scale_names = {"tiny", "small", "full"};

// A family of models: what its tensors are called and how their shapes follow from a few dimensions. All of
// it is data; another family is another table in families.cpp.
struct Family {
    struct Dimension {
        std::string_view name;
        std::array<uint64_t, 3> size;  // by Scale
    };
    struct Row {
        std::string_view name;
        std::string_view shape;  // "3*hidden + mlp, hidden": sums of products, outermost first
        Kind kind;
    };
    struct Group {
        std::string_view prefix;  // "{i}" becomes the number of the block
        unsigned per_layer;       // blocks for each of --layers; 0: once in the model, without "{i}"
        std::vector<Row> rows;
    };
    std::string_view name;
    std::string_view title;
    unsigned layers;  // of the real model
    std::vector<Dimension> dimensions;
    std::vector<Group> groups;
};

std::span<const Family> families();
const Family* find_family(std::string_view name);
std::optional<Scale> find_scale(std::string_view name);

// A tensor of a model.
struct TensorSpec {
    std::string name;
    Shape shape;
    Kind kind;
};

// All tensors, group by group.
std::vector<TensorSpec> tensors(const Family&, Scale, unsigned layers);

}  // namespace halftone::synth
