#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/plan/plan.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone {

// What learned rounding came to for one matrix, against round to nearest. Errors are norms, not squares.
struct LearnedOutcome {
    std::string name;
    double objective = 1;      // of what the optimizer minimized
    double squared_error = 1;  // of the weights themselves, squared
    bool improved = false;     // otherwise round to nearest is what was stored
    uint64_t candidates = 0;
    double seconds = 0;
    std::string why_on_cpu = {};  // why the device of the run did not do it
};

// Makes one matrix whose rounding is learned, with its companions. It exists in float32 while that lasts.
// The share is that of one of the functions below.
LearnedOutcome quantize_learned(const Plan&, const PlannedTensor&, uint64_t expert, const Output&, Workers&,
                                Workers::Share&, Progress&);

// What that needs where the CPU learns, and beside a device; nothing: the device cannot.
JobMemory memory_to_learn(const Plan&, const PlannedTensor&);
std::optional<JobMemory> memory_to_learn_on_device(const Plan&, const PlannedTensor&);

// The files in [report] trace that the run will write; none without it.
std::vector<std::filesystem::path> trace_files(const Plan&);

// The share of a run's work that it is, in bytes read.
uint64_t work_of_learning(const Plan&, const PlannedTensor&);

}  // namespace halftone
