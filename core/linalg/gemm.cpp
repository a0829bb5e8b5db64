#include "core/linalg/gemm.hpp"

#include <algorithm>
#include <cblas.h>
#include <stdexcept>
#include <vector>

#include "core/linalg/blas_call.hpp"
#include "core/linalg/tiles.hpp"

namespace halftone {
namespace {

constexpr uint64_t tile_rows = 256, tile_cols = 512;

CBLAS_TRANSPOSE transposed(Op op) {
    return op == Op::transpose ? CblasTrans : CblasNoTrans;
}
uint64_t rows_of(ConstMatrixView m, Op op) {
    return op == Op::plain ? m.rows : m.cols;
}
uint64_t cols_of(ConstMatrixView m, Op op) {
    return op == Op::plain ? m.cols : m.rows;
}
ConstMatrixView some_rows(ConstMatrixView m, Op op, uint64_t from, uint64_t n) {
    return op == Op::plain ? m.block(from, 0, n, m.cols) : m.block(0, from, m.rows, n);
}
ConstMatrixView some_cols(ConstMatrixView m, Op op, uint64_t from, uint64_t n) {
    return op == Op::plain ? m.block(0, from, m.rows, n) : m.block(from, 0, n, m.cols);
}

blasint length(uint64_t n) {
    return static_cast<blasint>(n);
}

}  // namespace

void gemm_tile(float alpha, ConstMatrixView a, Op op_a, ConstMatrixView b, Op op_b, float beta,
               MatrixView c) {
    if (c.rows == 0 || c.cols == 0) return;
    const BlasCall call;
    cblas_sgemm(CblasRowMajor, transposed(op_a), transposed(op_b), length(c.rows), length(c.cols),
                length(cols_of(a, op_a)), alpha, a.at, length(a.stride), b.at, length(b.stride), beta, c.at,
                length(c.stride));
}

void gemm(float alpha, ConstMatrixView a, Op op_a, ConstMatrixView b, Op op_b, float beta, MatrixView c) {
    if (rows_of(a, op_a) != c.rows || cols_of(b, op_b) != c.cols || cols_of(a, op_a) != rows_of(b, op_b))
        throw std::logic_error("gemm: the shapes do not match");
    const uint64_t down = pieces(c.rows, tile_rows), across = pieces(c.cols, tile_cols);
    each_tile(down * across, [&](uint64_t tile) {
        const uint64_t row = tile / across * tile_rows, col = tile % across * tile_cols;
        const uint64_t rows = std::min(tile_rows, c.rows - row), cols = std::min(tile_cols, c.cols - col);
        gemm_tile(alpha, some_rows(a, op_a, row, rows), op_a, some_cols(b, op_b, col, cols), op_b, beta,
                  c.block(row, col, rows, cols));
    });
}

double squared_norm(ConstMatrixView m) {
    constexpr uint64_t rows_at_once = 64;
    std::vector<double> sums(pieces(m.rows, rows_at_once));
    each_tile(sums.size(), [&](uint64_t piece) {
        double sum = 0;
        for (uint64_t i = piece * rows_at_once; i < std::min(m.rows, (piece + 1) * rows_at_once); ++i)
            for (uint64_t j = 0; j < m.cols; ++j)
                sum += static_cast<double>(m.row(i)[j]) * static_cast<double>(m.row(i)[j]);
        sums[piece] = sum;
    });
    double sum = 0;
    for (const double one : sums)
        sum += one;
    return sum;
}

}  // namespace halftone
