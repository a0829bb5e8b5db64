#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/plan/families.hpp"
#include "core/plan/loaders.hpp"
#include "plugins/format.hpp"

namespace halftone {

// A quantized layer, as it is stored or as a plan would store it.
struct StoredAs {
    const Format& format;
    const OptionValues& options;
    const FormatPlan& plan;
    std::string label;   // that loaders go by; "" in layouts that have none
    Json configuration;  // what the marker or the header tells loaders
    bool embedding = false;
};

// What a loader makes of a layer.
struct Judgment {
    bool taken = false;
    bool ruled = false;                        // a [[label]] of loaders.toml decided
    std::string since, activations, hardware;  // of a layer that is taken
    std::vector<std::string> remarks;          // likewise: nothing is worth knowing of what fails anyway
    std::string reason, advice;                // why it is refused, and what would not be

    void refuse(std::string why, std::string instead = "");  // without `instead` the advice stays
};

std::string unknown_dtype(const Loader&, ht_dtype);  // why a tensor is refused

// Why a weight is refused whose columns, or rows, the loader reads to find out what it builds.
std::string shape_fault(const Loader&, const Family&, bool columns);
std::string companion_fault(const Loader&, const Family&);  // why nothing may stand beside a weight

Judgment judge(const Loaders&, const Loader&, const StoredAs&);

// Of a layer that no format can read: all there is to go by is its label.
Judgment judge_label(const Loaders&, const Loader&, const std::string& label, const std::string& why_unread);

// Whether the loader takes the label with these options; the layer may have other faults.
bool takes_label(const Loader&, const StoredAs&);

// Whoever takes such a layer: "comfyui since 2025-12, comfyui-fork"; "" for nobody.
std::string takers_of(const StoredAs&);

// What a dotted key has in a layer's configuration, as text; "" if it has none.
std::string marker_value(const Json& configuration, const std::string& key);

}  // namespace halftone
