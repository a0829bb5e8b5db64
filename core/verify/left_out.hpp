#pragma once

#include <set>
#include <string>

#include "core/checkpoint/checkpoint.hpp"
#include "plugins/registry.hpp"

namespace halftone {

// The tensors of `input` that the recipe in the header of `output` leaves out; none, and a problem, if the
// output has no recipe or the recipe makes no plan for this input.
std::set<std::string> left_out_by_recipe(const Checkpoint& output, const Checkpoint& input, Registry&,
                                         std::string& problem);

}  // namespace halftone
