#pragma once

#include "core/plan/plan.hpp"

namespace halftone {

// What makes the largest recorded activation the largest that loaders can tell apart; 1 if all are zero.
float measured_input_scale(const MeasuredInputs&);

}  // namespace halftone
