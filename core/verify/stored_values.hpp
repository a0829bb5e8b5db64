#pragma once

#include <memory>

#include "core/plan/stored_matrix.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"
#include "core/verify/findings.hpp"

namespace halftone {

// Decodes the layer whole: nothing of it is NaN or infinite, its scales make sense, and none of them is zero
// over codes that are not.
void check_stored_values(const Checkpoint&, const std::shared_ptr<const StoredMatrix>&, Workers&, Progress&,
                         Findings&);

}  // namespace halftone
