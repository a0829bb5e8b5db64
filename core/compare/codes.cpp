#include "core/compare/codes.hpp"

#include <algorithm>
#include <cmath>

#include <halftone/toolbox/scale_groups.hpp>

namespace halftone {
namespace {

using toolbox::ScaleGroups;

std::optional<ScaleGroups> groups_of(const FormatPlan& plan) {
    const ht_facts& facts = plan.facts();
    const uint64_t rows = plan.source().rows, cols = plan.source().cols;
    switch (facts.scale_kind) {
        case HT_SCALE_TENSOR:
            return ScaleGroups::tensor(rows, cols);
        case HT_SCALE_ROW:
            return ScaleGroups::row(rows, cols);
        case HT_SCALE_TILE:
            return ScaleGroups::tile(rows, cols, facts.scale_rows, facts.scale_cols);
        case HT_SCALE_RUN:
            return ScaleGroups::run(rows, cols, facts.scale_cols);
        default:
            return std::nullopt;
    }
}

// Counts by the format's table: which level an element has, and whether that is the first or the last.
void count_levels(CodeCounts& counts, const ht_table& table, const ScaleGroups& groups,
                  const ht_region& region, const ht_view& values, bool levels_too) {
    if (levels_too) counts.of_code.assign(table.levels, 0);
    groups.each_piece(region, UINT64_MAX, [&](uint64_t i, uint64_t j, uint64_t n, uint64_t group) {
        const uint64_t set = table.table_of ? table.table_of[group] * uint64_t{table.levels} : 0;
        const float* const upper = table.upper + set;
        const float post = table.post[group];
        const float lowest = table.level[set] * post, highest = table.level[set + table.levels - 1] * post;
        const float* const at = values.at + i * static_cast<uint64_t>(values.row_stride) + j;
        for (uint64_t k = 0; k < n; ++k) {
            counts.saturated += post != 0 && (at[k] <= lowest || at[k] >= highest);
            if (!levels_too) continue;
            const float t = post == 0 ? 0 : at[k] / post;  // a level, which lies well between thresholds
            const auto code = std::lower_bound(upper, upper + table.levels - 1, t) - upper;
            ++counts.of_code[static_cast<size_t>(code)];
        }
    });
    counts.knows_ends = true;
    counts.knows_codes |= levels_too;
}

}  // namespace

void CodeCounts::add(const CodeCounts& more) {
    of_code.resize(std::max(of_code.size(), more.of_code.size()));
    for (size_t i = 0; i < more.of_code.size(); ++i)
        of_code[i] += more.of_code[i];
    elements += more.elements;
    saturated += more.saturated;
    knows_codes |= more.knows_codes;
    knows_ends |= more.knows_ends;
}

std::optional<double> CodeCounts::entropy() const {
    if (!knows_codes) return std::nullopt;
    double all = 0, bits = 0;
    for (uint64_t count : of_code)
        all += static_cast<double>(count);
    for (uint64_t count : of_code)
        if (count > 0) bits -= static_cast<double>(count) / all * std::log2(static_cast<double>(count) / all);
    return std::max(bits, 0.0);
}

std::optional<double> CodeCounts::saturated_share() const {
    if (!knows_ends || elements == 0) return std::nullopt;
    return static_cast<double>(saturated) / static_cast<double>(elements);
}

CodeCounts count_codes(const StoredWeight& weight, const ht_region& region, std::span<const std::byte> codes,
                       const ht_view& values) {
    CodeCounts counts;
    counts.elements = region.rows * region.cols;
    const bool bytes = codes.size() == counts.elements;
    if (bytes) {
        counts.of_code.assign(256, 0);
        for (std::byte code : codes)
            ++counts.of_code[static_cast<size_t>(code)];
        counts.knows_codes = true;
    }
    const std::optional<ht_table> table = weight.plan().table(weight.grid());
    const std::optional<ScaleGroups> groups = groups_of(weight.plan());
    if (table && groups) {
        count_levels(counts, *table, *groups, region, values, !bytes);
    } else if (!bytes && codes.size() * 2 == counts.elements) {
        counts.of_code.assign(16, 0);
        for (std::byte code : codes) {
            ++counts.of_code[static_cast<size_t>(code & std::byte{15})];
            ++counts.of_code[static_cast<size_t>(code >> 4)];
        }
        counts.knows_codes = true;
    }
    return counts;
}

}  // namespace halftone
