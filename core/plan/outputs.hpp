#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/plan/plan.hpp"

namespace halftone {

// Whether the pipeline and the profile want an input scale where the format allows one, and on what it is
// measured; 1 if on nothing.
struct WantedInputScale {
    bool wanted = false;
    MeasuredInputs measured;
};

// The output tensors of one quantized matrix: what the format stores, and what the host adds in the dialect
// (the configuration as a tensor, the input scale). The weight comes first.
struct MatrixOutputs {
    std::vector<PlannedOutput> outputs;
    std::vector<PlannedOutput> whole_file;  // claims with HT_SCOPE_FILE: equal ones of several layers merge
};
MatrixOutputs outputs_of_matrix(const std::string& layer, const std::string& prefix, const FormatPlan&,
                                ht_dialect, MetadataForm, const WantedInputScale&);

// The tensor as it is, or narrowed to another float type (Origin::narrowed).
PlannedOutput output_of_kept(const Tensor&, ht_dtype as);

// Gives every output tensor of the plan its file and its place there. Exit::usage if two would have one name.
void lay_out_files(Plan&, const Metadata&);

}  // namespace halftone
