#pragma once

#include "core/plan/learning.hpp"
#include "core/rounding/objective.hpp"
#include "plugins/format.hpp"

namespace halftone {

// The factors of a planned objective, read from its file, in the basis of the format's grid and scaled.
Objective make_objective(const PlannedObjective&, const FormatPlan&);

}  // namespace halftone
