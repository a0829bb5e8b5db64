#include "plugins/wants.hpp"

#include <fmt/format.h>

namespace halftone {

std::string unkept_wants(const FormatPlan& plan) {
    const MatrixSource& source = plan.source();
    const std::vector<uint64_t>& shape = plan.stored()[plan.weight_index()].shape;
    const auto lost = [&](uint32_t want, size_t dimension, uint64_t extent) {
        return (source.wants & want) && (shape.size() != 2 || shape[dimension] != extent);
    };
    const bool rows = lost(HT_WANTS_ROWS, 0, source.rows), cols = lost(HT_WANTS_COLUMNS, 1, source.cols);
    if (!rows && !cols) return {};
    return fmt::format("loaders read its {}, {} x {}, and it would be stored as [{}]",
                       rows && cols ? "rows and columns"
                       : rows       ? "rows"
                                    : "columns",
                       source.rows, source.cols, fmt::join(shape, ", "));
}

}  // namespace halftone
