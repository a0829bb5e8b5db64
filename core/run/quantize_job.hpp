#pragma once

#include "core/plan/plan.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone {

// Makes one quantized matrix with its companions.
void quantize(const Plan&, const PlannedTensor&, const Output&, Workers&, Progress&);

// The companions and constant tensors beside a written weight.
void write_companions(const PlannedTensor&, const Grid&, const Output&);

// How weights that are no numbers end a run.
[[noreturn]] void refuse_nonfinite(const std::string& name, uint64_t count);

// How often quantize() reads the matrix.
uint64_t passes_over(const FormatPlan&);

}  // namespace halftone
