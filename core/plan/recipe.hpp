#pragma once

#include <string>
#include <vector>

#include "core/plan/plan.hpp"

namespace halftone {

// The values of a plugin's options as a pipeline would give them, every default written out.
GivenOptions explicit_options(const OptionTable&, const OptionValues&);

// Writes halftone.version, .plugins, .source, .result and .recipe into the output's metadata. Nothing of it
// depends on paths, the source's name, times, threads or memory, so that the same work gives the same bytes.
// `effective` is the pipeline with options and profiles resolved. Returns the recipe.
std::string add_recipe(Metadata&, Pipeline effective, const std::vector<std::string>& plugins,
                       const Checkpoint&, const PlanTotals&);

}  // namespace halftone
