#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/compare/compare.hpp"

namespace halftone {

struct CompareTableSettings {
    int width = 0;               // 0: no limit
    std::optional<size_t> rows;  // only the worst; all if not set
};
std::string compare_table(const Comparison&, const CompareTableSettings&);
Json compare_json(const Comparison&);

// A bound that every tensor must keep: "relmse=1e-3" from above, "sqnr=30" from below.
struct QualityBound {
    std::string figure;
    double bound = 0;
};

// From "relmse=1e-3,sqnr=30". Exit::usage for a figure that does not exist or a number that is none.
std::vector<QualityBound> parse_bounds(const std::string&);
bool needs_projection(const std::vector<QualityBound>&);
bool needs_statistics(const std::vector<QualityBound>&);

// "3 of 57 tensors: relmse above 0.001, the worst blocks.0.attn.weight with 0.0023"; one line for each
// bound that is not kept.
std::vector<std::string> broken_bounds(const Comparison&, const std::vector<QualityBound>&);

}  // namespace halftone
