#pragma once

#include <string>

#include "core/checkpoint/checkpoint.hpp"
#include "core/cli/synth/model.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone::synth {

// Tables for people; `width` 0: as wide as needed.

// What the matrices of a model are made to have.
std::string declared_table(const ModelChoice&, int width);

// What the matrices of a file have; beside it, in parentheses, what was declared, if the file tells how it
// was made.
void set_totals(Progress&, const Checkpoint&);  // before measuring
std::string measured_table(const Checkpoint&, Workers&, Progress&, int width);

// Families, scales and how large they are.
std::string family_table(int width);

}  // namespace halftone::synth
