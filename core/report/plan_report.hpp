#pragma once

#include <string>

#include "core/base/json.hpp"
#include "core/plan/plan.hpp"

namespace halftone {

// Text for people: a row a tensor, then the totals. `width` 0: as wide as needed.
struct TableSettings {
    int width = 0;
    bool color = false;
};
std::string plan_table(const Plan&, const TableSettings&);

// What `run` says before it starts: profile, totals, expected size.
std::string plan_overview(const Plan&);

// Everything for programs.
Json plan_json(const Plan&);

// "bias 304, not a matrix (1-D) 76": the commonest reasons for keeping tensors.
std::string commonest_reasons(const Plan&, size_t limit);

}  // namespace halftone
