#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/plan/plan.hpp"
#include "core/run/learned_job.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone {

// Fills in the totals of `progress` for a plan.
void set_totals(Progress&, const Plan&);

struct Outcome {
    std::vector<LearnedOutcome> learned;  // in the plan's order
    // How many matrices the CPU rounded to nearest although a device was asked for by name, by reason.
    std::map<std::string, uint64_t> rounded_on_cpu;
};

// Makes every tensor of the plan and writes it to its place. The output is complete afterwards but not
// committed. Any exception leaves it to Output to clean up.
Outcome execute(const Plan&, const Output&, Workers&, Progress&);

// Fits every matrix that the plan would quantize, writing nothing, and returns those that their formats
// refuse once they have the weights. For after execute() has met one (LateRefusal). Totals as set_totals()
// sets them.
PlanKnowledge look_for_refusals(const Plan&, Workers&, Progress&);

// The plan's files, to be written under the pipeline's output path.
std::unique_ptr<Output> open_output(const Plan&);

// Whether open_output() would find a place and room, without creating anything; throws what it would throw.
void check_output(const Plan&);

// To be called before the output gets its name: Exit::input if a file that the plan reads from is not what it
// was when the plan was made. What was read from it may be a mixture.
void refuse_changed_inputs(const Plan&);

// The totals of look_for_nonfinite(). To be set before the progress is shown, like those of a run.
void set_totals_of_looking(Progress&, const Plan&);

// Reads every matrix that the plan would quantize, and returns the names of those that hold NaN or
// infinities.
PlanKnowledge look_for_nonfinite(const Plan&, Workers&, Progress&);

}  // namespace halftone
