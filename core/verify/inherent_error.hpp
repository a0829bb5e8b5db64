#pragma once

#include "core/compare/pairing.hpp"
#include "core/run/memory_gate.hpp"

namespace halftone {

// What a tensor loses by the way it is stored, whoever stores it so: the squared error of rounding the input
// to nearest, relative to the input. A job of the workers; holds the matrix, or one expert of it, in memory.
double inherent_error(const Checkpoint& input, const ComparedPair&);
JobMemory memory_for_inherent_error(const ComparedPair&);

}  // namespace halftone
