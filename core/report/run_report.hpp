#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/base/json.hpp"
#include "core/plan/plan.hpp"
#include "core/run/execute.hpp"
#include "core/verify/verify.hpp"

namespace halftone {

// What a finished run amounts to.
struct RunFigures {
    double seconds = 0;
    uint64_t anonymous_memory_peak = 0;
    unsigned threads = 0;
    Outcome outcome;
    std::optional<Verification> verification = std::nullopt;  // if the output was read back
};

std::string run_summary(const Plan&, const RunFigures&);
Json run_json(const Plan&, const RunFigures&);

// Is the file a report that run_json() made?
bool is_run_report(const std::filesystem::path&);

}  // namespace halftone
