#pragma once

#include <memory>

#include "core/plan/stored_matrix.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"
#include "core/verify/findings.hpp"

namespace halftone {

// Decodes the layer whole: nothing of it is NaN or infinite, its scales make sense, and none of them is zero
// over codes that are not.
void check_stored_values(const Checkpoint&, const std::shared_ptr<const StoredMatrix>&, Workers&,
                         Workers::Share&, Progress&, Findings&);
// What it needs at first; `zeros`: once it turns out that scales are 0.
JobMemory memory_to_check_values(const StoredMatrix&, bool zeros = false);

}  // namespace halftone
