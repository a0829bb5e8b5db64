#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/plan/plan.hpp"

namespace halftone {

// The output tensors of one quantized matrix: what the format stores, and what the host adds in the dialect
// (the configuration as a tensor, the input scale). The weight comes first. `input_scale`: what it is
// measured on, and a constant if that is nothing; without it there is none.
struct MatrixOutputs {
    std::vector<PlannedOutput> outputs;
    std::vector<PlannedOutput> whole_file;  // claims with HT_SCOPE_FILE: equal ones of several layers merge
};
MatrixOutputs outputs_of_matrix(const std::string& layer, const std::string& prefix, const FormatPlan&,
                                ht_dialect, MetadataForm, const std::optional<MeasuredInputs>& input_scale);

// The tensor as it is, or narrowed to another float type (Origin::narrowed).
PlannedOutput output_of_kept(const Tensor&, ht_dtype as);

// Gives every output tensor of the plan its file and its place there. Exit::usage if two would have one name.
void lay_out_files(Plan&, const Metadata&);

}  // namespace halftone
