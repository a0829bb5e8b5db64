#pragma once

#include "core/checkpoint/writer.hpp"
#include "core/plan/plan.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"
#include "core/verify/findings.hpp"

namespace halftone {

// Rereads an output that remembers what was written to it, before it gets its name: every byte was written
// exactly once and is there.
void check_written(const Plan&, const Output&, Workers&, Progress&, Findings&);

uint64_t bytes_to_reread(const Output&);

}  // namespace halftone
