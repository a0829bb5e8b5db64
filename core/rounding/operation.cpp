#include "core/rounding/operation.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/linalg/factor.hpp"
#include "core/linalg/tiles.hpp"
#include "core/rounding/views.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

uint64_t seed_of_tile(uint64_t seed, uint64_t index) {
    uint32_t words[2];
    random_words(seed, index, 0, words);
    return uint64_t{words[1]} << 32 | words[0];
}

}  // namespace

Operation::Operation(const ht_op& op, const FormatPlan& format, const Grid& grid, const Matrix& weights,
                     uint64_t seed, const std::string& culprit)
    : op_(op),
      format_(format),
      grid_(grid),
      weights_(weights),
      seed_(seed),
      culprit_(culprit),
      table_(op.kind == HT_OP_SCALAR ? std::nullopt : format.table(grid)) {
    if (op.wants) {
        rows_ = weights.rows();
        cols_ = weights.cols();
    }
}

void Operation::add(ConstMatrixView matrix) {
    if (rows_ == 0) {
        rows_ = matrix.rows;
        cols_ = matrix.cols;
    }
    if (matrix.rows != rows_ || matrix.cols != cols_)
        fail(Exit::plugin, "", "operation '{}' was given matrices of {} x {} and {} x {}", op_.name, rows_,
             cols_, matrix.rows, matrix.cols);
    mats_.push_back(view_of(matrix));
}

void Operation::run(std::vector<double>& numbers, const Lift* gradient) const {
    if (op_.kind == HT_OP_SCALAR) {
        ht_tile tile{};
        tile.size = sizeof tile;
        tile.nums = numbers.data();
        tile.seed = seed_;
        return call(culprit_, op_.name, op_.cpu, static_cast<const ht_tile*>(&tile));
    }
    if (mats_.empty()) fail(Exit::plugin, "", "operation '{}' was given no matrix", op_.name);
    // Rows that belong together are never cut.
    const uint64_t tile_rows = op_.kind == HT_OP_ROWS ? 16 : 256;
    const uint64_t tile_cols = op_.kind == HT_OP_ROWS ? cols_ : 512;
    const uint64_t down = pieces(rows_, tile_rows), across = pieces(cols_, tile_cols);
    const bool sums = op_.kind == HT_OP_SUM;
    std::vector<std::vector<double>> of_tiles(sums ? down * across : 0);
    each_tile(down * across, [&](uint64_t i) {
        const uint64_t row = i / across * tile_rows, col = i % across * tile_cols;
        const TilePlace place{row, col, std::min(tile_rows, rows_ - row), std::min(tile_cols, cols_ - col),
                              i};
        std::vector<double> own = sums ? std::vector<double>(numbers.size()) : numbers;
        tile(place, own, gradient);
        if (sums) of_tiles[i] = std::move(own);
    });
    for (const std::vector<double>& one : of_tiles)
        for (size_t i = 0; i < one.size(); ++i)
            numbers[i] += one[i];
}

void Operation::tile(const TilePlace& at, std::vector<double>& numbers, const Lift* lift) const {
    const ht_region region{at.row, at.col, at.rows, at.cols};
    const auto buffer = [&](uint32_t want) { return op_.wants & want ? Matrix(at.rows, at.cols) : Matrix(); };
    Matrix gradient = buffer(HT_OP_GRADIENT), sigma = buffer(HT_OP_SIGMA), nearest = buffer(HT_OP_NEAREST),
           lo = buffer(HT_OP_AROUND), hi = buffer(HT_OP_AROUND);
    std::vector<float*> mats;
    std::vector<int64_t> strides;
    for (const ht_view& one : mats_) {
        mats.push_back(one.at + static_cast<int64_t>(at.row) * one.row_stride + static_cast<int64_t>(at.col));
        strides.push_back(one.row_stride);
    }
    if (!gradient.empty()) lift->tile(at.row, at.col, 1, 0, gradient);
    if (!sigma.empty()) format_.sigma(grid_, region, view_of(sigma));
    if (!nearest.empty())
        format_.snap(grid_, region, view_of(weights_.view().block(at.row, at.col, at.rows, at.cols)),
                     view_of(nearest));
    if (!lo.empty()) format_.around(grid_, region, {mats[0], strides[0], 1}, view_of(lo), view_of(hi));

    const auto given = [](Matrix& m) { return m.empty() ? nullptr : m.data(); };
    ht_tile tile{};
    tile.size = sizeof tile;
    tile.row = at.row;
    tile.col = at.col;
    tile.rows = at.rows;
    tile.cols = at.cols;
    tile.mats = mats.data();
    tile.strides = strides.data();
    tile.gradient = given(gradient);
    tile.sigma = given(sigma);
    tile.lo = given(lo);
    tile.hi = given(hi);
    tile.nearest = given(nearest);
    tile.grid = table_ ? &*table_ : nullptr;
    tile.nums = numbers.data();
    tile.seed = seed_of_tile(seed_, at.index);
    call(culprit_, op_.name, op_.cpu, static_cast<const ht_tile*>(&tile));
}

void factor_matrix(int32_t what, ConstMatrixView a, MatrixView out) {
    if (what == HT_FACTOR_QR) {
        Matrix q(a.rows, a.cols);
        for (uint64_t i = 0; i < a.rows; ++i)
            std::copy_n(a.row(i), a.cols, q.view().row(i));
        if (a.cols > a.rows || out.rows != a.rows || out.cols != a.cols)
            fail(Exit::plugin, "", "factor() cannot make a QR of {} x {}", a.rows, a.cols);
        orthonormalize(q);
        for (uint64_t i = 0; i < a.rows; ++i)
            std::copy_n(q.view().row(i), a.cols, out.row(i));
        return;
    }
    if (a.rows != a.cols || out.rows != a.rows || out.cols != a.cols)
        fail(Exit::plugin, "", "factor() needs square matrices of one size");
    SquareMatrix m = to_double(a);
    if (what == HT_FACTOR_EIGEN) {
        eigen(m);
    } else if (what == HT_FACTOR_CHOLESKY || what == HT_FACTOR_CHOLESKY_INVERSE) {
        if (!cholesky(m)) fail(Exit::failed, "", "a matrix that should be positive definite is not");
        if (what == HT_FACTOR_CHOLESKY_INVERSE) invert_lower(m);
    } else {
        fail(Exit::plugin, "", "factor() knows no factor {}", what);
    }
    const Matrix result = to_float(m);
    for (uint64_t i = 0; i < a.rows; ++i)
        std::copy_n(result.view().row(i), a.cols, out.row(i));
}

}  // namespace halftone
