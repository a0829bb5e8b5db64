#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/format.hpp"

namespace halftone {

// "comfyui", "stable-diffusion.cpp".
bool is_loader_name(std::string_view);

// A month, "2025-12", or a version, "0.31.0".
bool is_since(std::string_view);

// As all texts of a label are.
bool is_one_line(std::string_view);

// A loader that takes a label.
struct LabelTaker {
    std::string loader;
    std::string since;  // "": nobody knows since when
    bool operator==(const LabelTaker&) const = default;
};

// The parts of ht_label.loaders; nothing if it is not written as format.h says.
std::optional<std::vector<LabelTaker>> read_label_takers(std::string_view loaders);

// What must hold for a layer to be stored under a label: an option of the format, its layout, or that it is a
// stack of experts.
inline constexpr std::string_view experts_condition = "experts", stack_of_experts = "stack";
struct LabelCondition {
    std::string key, value;
    bool operator==(const LabelCondition&) const = default;
};

// The parts of ht_label.options, likewise; keys and values are as written.
std::optional<std::vector<LabelCondition>> read_label_conditions(std::string_view options);

// What is wrong with how a label is written, in a sentence; "" if nothing is.
std::string fault_of(const Format::Label&, const OptionTable&);

}  // namespace halftone
