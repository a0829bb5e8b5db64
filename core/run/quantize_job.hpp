#pragma once

#include "core/plan/plan.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone {

// Makes one quantized matrix with its companions.
void quantize(const Plan&, const PlannedTensor&, const Output&, Workers&, Progress&);

// How often quantize() reads the matrix.
uint64_t passes_over(const FormatPlan&);

}  // namespace halftone
