#include "core/rounding/fit.hpp"

#include <algorithm>

#include "core/linalg/tiles.hpp"
#include "core/rounding/views.hpp"

namespace halftone {

uint64_t rows_of_a_band(const FormatPlan& format) {
    constexpr uint64_t elements = 128 * 1024;
    const uint64_t granule = format.facts().granule_rows;
    return std::max<uint64_t>(1, elements / std::max<uint64_t>(1, granule * format.source().cols)) * granule;
}

Grid fitted_grid(const FormatPlan& format, ConstMatrixView matrix) {
    const ht_facts& facts = format.facts();
    const uint64_t most = rows_of_a_band(format), granules = pieces(matrix.rows, facts.granule_rows);
    const auto each_band = [&](const auto& work) {
        each_tile(pieces(matrix.rows, most), [&](uint64_t band) {
            const uint64_t row = band * most, rows = std::min(most, matrix.rows - row);
            work(ht_region{row, 0, rows, matrix.cols}, view_of(matrix.block(row, 0, rows, matrix.cols)));
        });
    };
    Grid grid = format.make_grid();
    for (uint32_t pass = 0; pass < facts.passes; ++pass) {
        AlignedBytes partials(granules * facts.partial_bytes);
        each_band([&](const ht_region& region, const ht_view& view) {
            format.fit_pass(pass, region, view, nullptr, grid,
                            partials.data() + region.row / facts.granule_rows * facts.partial_bytes);
        });
        format.fit_fold(pass, partials.bytes(), granules, grid);
    }
    if (format.fits_bands())
        each_band([&](const ht_region& region, const ht_view& view) {
            format.fit_band(region, view, nullptr, grid);
        });
    format.fit_seal(grid);
    return grid;
}

}  // namespace halftone
