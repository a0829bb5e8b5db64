#pragma once

#include <optional>
#include <string>

#include "core/checkpoint/checkpoint.hpp"
#include "core/plan/stored_matrix.hpp"

namespace halftone {

// The calibrated input scale that a layer of the source has beside its weight.
struct InheritedScale {
    bool there = false;        // the source has a tensor of that name
    float value = 0;           // > 0, unless `why_not` says why it is of no use
    float activation_max = 0;  // ht_facts of the format that it was made for
    std::string why_not;
};
// `stored`: the layer as it was recognized; null for a layer of plain numbers.
InheritedScale inherited_scale(const Checkpoint&, const std::string& layer, const StoredMatrix* stored);

// What it becomes for another format, which clamps to another number: the largest activation stays the same.
// Nothing if the format makes no use of it; `why_not` then says so.
std::optional<float> scale_for(const FormatPlan&, const InheritedScale&, std::string& why_not);

}  // namespace halftone
