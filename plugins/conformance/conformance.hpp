#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plugins/library.hpp"

namespace halftone::conformance {

enum class Outcome { ok, failed, not_applicable };

struct Result {
    std::string check;    // "regions"
    std::string promise;  // what is promised, in a line
    Outcome outcome = Outcome::not_applicable;
    uint64_t cases = 0;  // in how many it was looked at
    std::string detail;  // of a failure: which function, on what, what was expected and what came
};

struct Report {
    std::vector<Result> results;
    uint64_t matrices = 0;             // plans that were tried with weights
    uint64_t refused = 0;              // shapes and options that the format takes not
    std::vector<std::string> remarks;  // what could not be tried
    bool passed() const;
};

// Holds a format to what halftone/format.h promises, through its table of functions as the host calls them:
// matrices of many shapes and values, options as its own table has them, every layout. The same seed tries
// the same things. A plugin that crashes takes the process with it.
Report check_format(std::shared_ptr<PluginLibrary>, uint64_t seed);

}  // namespace halftone::conformance
