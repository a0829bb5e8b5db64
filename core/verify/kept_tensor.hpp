#pragma once

#include <string>

#include "core/compare/pairing.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone {

// What is wrong with a tensor of plain numbers or of another kind that should be as it was, or its values in
// another type; "" if nothing.
std::string check_kept(const Checkpoint& before, const Checkpoint& after, const ComparedPair&, Workers&,
                       Workers::Share&, Progress&);
JobMemory memory_to_check_kept(const ComparedPair&);

}  // namespace halftone
