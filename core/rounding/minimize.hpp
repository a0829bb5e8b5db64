#pragma once

#include "core/rounding/problem.hpp"
#include "plugins/optimizer.hpp"

namespace halftone {

// Runs an optimizer on a problem. What it proposed counts however it ends; an error of the host's own is
// thrown, one of the plugin's is Exit::plugin. Refusal: this problem and these options don't go together.
RoundingResult minimize(Problem&, const Optimizer&, const OptionValues&);

}  // namespace halftone
