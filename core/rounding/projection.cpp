#include "core/rounding/projection.hpp"

#include <algorithm>

#include "core/linalg/gemm.hpp"
#include "core/linalg/tiles.hpp"

namespace halftone {
namespace {

// A tile of E and what it is multiplied with stay in a core's cache.
constexpr uint64_t tile_rows = 256, tile_cols = 512;

ConstMatrixView rows_of(const Matrix& m, uint64_t from, uint64_t n) {
    return m.view().block(from, 0, n, m.cols());
}
ConstMatrixView cols_of(const Matrix& m, uint64_t from, uint64_t n) {
    return m.view().block(0, from, m.rows(), n);
}

}  // namespace

Projection::Projection(const Factors& factors, uint64_t rows, uint64_t cols)
    : factors_(factors),
      rows_(rows),
      cols_(cols),
      down_(pieces(rows, tile_rows)),
      across_(pieces(cols, tile_cols)) {}

TilePlace Projection::place(uint64_t down, uint64_t across) const {
    const uint64_t row = down * tile_rows, col = across * tile_cols;
    return {row, col, std::min(tile_rows, rows_ - row), std::min(tile_cols, cols_ - col),
            down * across_ + across};
}

void Projection::operator()(const MakeTile& make, MatrixView p) const {
    const bool left = !factors_.left.empty(), right = !factors_.right.empty();
    if (!left && !right) return as_it_is(make, p);
    right_factor_first(left, right, rows_, cols_, p.rows, p.cols) ? by_rows(make, p) : by_columns(make, p);
}

// (E B) band by band, then A (E B).
void Projection::by_rows(const MakeTile& make, MatrixView p) const {
    const bool left = !factors_.left.empty();
    Matrix half = left ? Matrix(rows_, p.cols) : Matrix();
    const MatrixView product = left ? half.view() : p;
    each_tile(down_, [&](uint64_t down) {
        Matrix tile(std::min(tile_rows, rows_), std::min(tile_cols, cols_));
        for (uint64_t across = 0; across < across_; ++across) {
            const TilePlace at = place(down, across);
            const MatrixView e = tile.view().block(0, 0, at.rows, at.cols);
            make(at, e);
            gemm_tile(1, e, Op::plain, rows_of(factors_.right, at.col, at.cols), Op::plain, across ? 1 : 0,
                      product.block(at.row, 0, at.rows, p.cols));
        }
    });
    if (left) gemm(1, factors_.left, Op::plain, half, Op::plain, 0, p);
}

// (A E) strip by strip, then (A E) B.
void Projection::by_columns(const MakeTile& make, MatrixView p) const {
    const bool right = !factors_.right.empty();
    Matrix half = right ? Matrix(p.rows, cols_) : Matrix();
    const MatrixView product = right ? half.view() : p;
    each_tile(across_, [&](uint64_t across) {
        Matrix tile(std::min(tile_rows, rows_), std::min(tile_cols, cols_));
        for (uint64_t down = 0; down < down_; ++down) {
            const TilePlace at = place(down, across);
            const MatrixView e = tile.view().block(0, 0, at.rows, at.cols);
            make(at, e);
            gemm_tile(1, cols_of(factors_.left, at.row, at.rows), Op::plain, e, Op::plain, down ? 1 : 0,
                      product.block(0, at.col, p.rows, at.cols));
        }
    });
    if (right) gemm(1, half, Op::plain, factors_.right, Op::plain, 0, p);
}

void Projection::as_it_is(const MakeTile& make, MatrixView p) const {
    each_tile(tiles(), [&](uint64_t index) {
        const TilePlace at = place(index / across_, index % across_);
        make(at, p.block(at.row, at.col, at.rows, at.cols));
    });
}

Lift::Lift(const Factors& factors, ConstMatrixView p, uint64_t rows, uint64_t cols)
    : factors_(factors), p_(p) {
    if (factors.left.empty() || factors.right.empty()) return;
    right_done_ = cols <= rows;
    if (right_done_) {
        half_ = Matrix(p.rows, cols);
        gemm(1, p, Op::plain, factors.right, Op::transpose, 0, half_);
    } else {
        half_ = Matrix(rows, p.cols);
        gemm(1, factors.left, Op::transpose, p, Op::plain, 0, half_);
    }
}

void Lift::tile(uint64_t row, uint64_t col, float alpha, float beta, MatrixView to) const {
    const Matrix &left = factors_.left, &right = factors_.right;
    const uint64_t rows = to.rows, cols = to.cols;
    if (left.empty() && right.empty()) {
        for (uint64_t i = 0; i < rows; ++i)
            for (uint64_t j = 0; j < cols; ++j)
                to.row(i)[j] = alpha * p_.row(row + i)[col + j] + (beta == 0 ? 0 : beta * to.row(i)[j]);
    } else if (right.empty()) {
        gemm_tile(alpha, cols_of(left, row, rows), Op::transpose, p_.block(0, col, p_.rows, cols), Op::plain,
                  beta, to);
    } else if (left.empty()) {
        gemm_tile(alpha, p_.block(row, 0, rows, p_.cols), Op::plain, rows_of(right, col, cols), Op::transpose,
                  beta, to);
    } else if (right_done_) {
        gemm_tile(alpha, cols_of(left, row, rows), Op::transpose, cols_of(half_, col, cols), Op::plain, beta,
                  to);
    } else {
        gemm_tile(alpha, rows_of(half_, row, rows), Op::plain, rows_of(right, col, cols), Op::transpose, beta,
                  to);
    }
}

}  // namespace halftone
