#include "core/rounding/candidate.hpp"

#include <algorithm>
#include <numeric>

#include "core/linalg/tiles.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/views.hpp"
#include "plugins/guard_bytes.hpp"

namespace halftone {
namespace {

ht_region region_of(const TilePlace& at) {
    return {at.row, at.col, at.rows, at.cols};
}

// Calls work(region, offset, bytes) for bands of whole granules.
template <class Work>
void each_band(const FormatPlan& format, const Work& work) {
    const uint64_t most = rows_of_a_band(format), rows = format.source().rows;
    each_tile(pieces(rows, most), [&](uint64_t band) {
        const uint64_t row = band * most, n = std::min(most, rows - row);
        work(band, ht_region{row, 0, n, format.source().cols}, format.band_offset(row),
             format.band_bytes(row, n));
    });
}

}  // namespace

CandidateTiles::CandidateTiles(const FormatPlan& format, const Grid& grid, const Matrix& weights)
    : format_(format), grid_(grid), weights_(weights) {}

ConstMatrixView CandidateTiles::weights_at(const TilePlace& at) const {
    return weights_.view().block(at.row, at.col, at.rows, at.cols);
}

void CandidateTiles::values(const Candidate& candidate, const TilePlace& at, MatrixView out) const {
    const ConstMatrixView from = candidate.at.block(at.row, at.col, at.rows, at.cols);
    if (candidate.space == HT_SPACE_VALUES) {
        for (uint64_t i = 0; i < at.rows; ++i)
            std::copy_n(from.row(i), at.cols, out.row(i));
        return;
    }
    format_.snap(grid_, region_of(at), view_of(weights_at(at)), view_of(out));
    Matrix sigma(at.rows, at.cols);
    format_.sigma(grid_, region_of(at), view_of(sigma));
    for (uint64_t i = 0; i < at.rows; ++i)
        for (uint64_t j = 0; j < at.cols; ++j)
            out.row(i)[j] += from.row(i)[j] * sigma.view().row(i)[j];
}

void CandidateTiles::stored(const Candidate& candidate, const TilePlace& at, MatrixView out) const {
    if (candidate.space == HT_SPACE_VALUES) {
        const ConstMatrixView from = candidate.at.block(at.row, at.col, at.rows, at.cols);
        format_.snap(grid_, region_of(at), view_of(from), view_of(out));
        return;
    }
    values(candidate, at, out);
    format_.snap(grid_, region_of(at), view_of(out), view_of(out));
}

void CandidateTiles::subtract_weights(const TilePlace& at, MatrixView e) const {
    const ConstMatrixView w = weights_at(at);
    for (uint64_t i = 0; i < at.rows; ++i)
        for (uint64_t j = 0; j < at.cols; ++j)
            e.row(i)[j] -= w.row(i)[j];
}

uint64_t CandidateTiles::differing(const TilePlace& at, ConstMatrixView stored) const {
    Matrix nearest(at.rows, at.cols);
    format_.snap(grid_, region_of(at), view_of(weights_at(at)), view_of(nearest));
    uint64_t n = 0;
    for (uint64_t i = 0; i < at.rows; ++i)
        for (uint64_t j = 0; j < at.cols; ++j)
            n += stored.row(i)[j] != nearest.view().row(i)[j];
    return n;
}

void CandidateTiles::encode(const Candidate& candidate, std::span<std::byte> codes) const {
    each_band(format_, [&](uint64_t, const ht_region& band, uint64_t offset, uint64_t bytes) {
        AlignedBytes room(bytes + 2 * guard_size);  // zeroed, and watched on both sides
        if (candidate.space == HT_SPACE_VALUES) {
            format_.encode(grid_, band, view_of(candidate.at.block(band.row, 0, band.rows, band.cols)),
                           room.bytes());
        } else {
            Matrix of_band(band.rows, band.cols);
            values(candidate, {band.row, 0, band.rows, band.cols, 0}, of_band);
            format_.encode(grid_, band, view_of(of_band), room.bytes());
        }
        std::ranges::copy(room.bytes().subspan(guard_size, bytes),
                          codes.begin() + static_cast<std::ptrdiff_t>(offset));
    });
}

double squared_error_of(std::span<const std::byte> codes, const FormatPlan& format, const Grid& grid,
                        const Matrix& weights) {
    std::vector<double> squares(pieces(weights.rows(), rows_of_a_band(format)));
    each_band(format, [&](uint64_t index, const ht_region& band, uint64_t offset, uint64_t bytes) {
        Matrix values(band.rows, band.cols);
        format.decode(grid, band, codes.subspan(offset, bytes), view_of(values));
        const float* const w = weights.view().row(band.row);
        double sum = 0;
        for (uint64_t i = 0; i < band.rows * band.cols; ++i) {
            const double e = static_cast<double>(values.data()[i]) - static_cast<double>(w[i]);
            sum += e * e;
        }
        squares[index] = sum;
    });
    return std::accumulate(squares.begin(), squares.end(), 0.0);
}

}  // namespace halftone
