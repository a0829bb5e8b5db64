#include "core/linalg/svd.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/random.hpp"
#include "core/linalg/factor.hpp"
#include "core/linalg/gemm.hpp"
#include "core/linalg/tiles.hpp"

namespace halftone {
namespace {

// Normally distributed, two from two random words; a row is a stream of its own.
Matrix random_matrix(uint64_t rows, uint64_t cols, uint64_t seed) {
    Matrix result(rows, cols);
    constexpr uint64_t rows_at_once = 64;
    each_tile(pieces(rows, rows_at_once), [&](uint64_t piece) {
        std::vector<uint32_t> words(cols + cols % 2);
        for (uint64_t i = piece * rows_at_once; i < std::min(rows, (piece + 1) * rows_at_once); ++i) {
            random_words(seed, i, 0, words);
            for (uint64_t j = 0; j < cols; ++j) {
                const double first = (words[j / 2 * 2] + 0.5) * 0x1p-32;
                const double second = words[j / 2 * 2 + 1] * 0x1p-32;
                const double length = std::sqrt(-2 * std::log(first)), angle = 2 * std::numbers::pi * second;
                result.view().row(i)[j] =
                    static_cast<float>(length * (j % 2 ? std::sin(angle) : std::cos(angle)));
            }
        }
    });
    return result;
}

Matrix product(ConstMatrixView a, Op op_a, ConstMatrixView b, Op op_b) {
    Matrix result(op_a == Op::plain ? a.rows : a.cols, op_b == Op::plain ? b.cols : b.rows);
    gemm(1, a, op_a, b, op_b, 0, result);
    return result;
}

}  // namespace

TruncatedSvd truncated_svd(ConstMatrixView a, uint64_t rank, uint64_t seed) {
    const uint64_t r = std::min(a.rows, a.cols), q = std::min(rank + svd_extra_directions, r);
    rank = std::min(rank, r);

    Matrix range = product(a, Op::plain, random_matrix(a.cols, q, seed), Op::plain);
    orthonormalize(range);
    for (uint32_t i = 0; i < svd_power_iterations; ++i) {
        Matrix corange = product(a, Op::transpose, range, Op::plain);
        orthonormalize(corange);
        range = product(a, Op::plain, corange, Op::plain);
        orthonormalize(range);
    }

    // What is left is small: a = range * core', and the eigenvectors of core' core turn the range.
    const Matrix core = product(a, Op::transpose, range, Op::plain);  // cols x q
    SquareMatrix turn = gram(core);
    const std::vector<double> squares = eigen(turn);
    TruncatedSvd result;
    Matrix leading(rank, q);
    for (uint64_t i = 0; i < rank; ++i) {
        const uint64_t from = q - 1 - i;  // ascending there, descending here
        for (uint64_t j = 0; j < q; ++j)
            leading.view().row(i)[j] = static_cast<float>(turn(from, j));
        result.values.push_back(std::sqrt(std::max(squares[from], 0.0)));
    }
    result.left = product(leading, Op::plain, range, Op::transpose);
    result.right = product(core, Op::plain, leading, Op::transpose);
    for (uint64_t i = 0; i < result.right.rows(); ++i)
        for (uint64_t j = 0; j < rank; ++j)
            if (result.values[j] > 0) result.right.view().row(i)[j] /= static_cast<float>(result.values[j]);
    orthonormalize(result.right);
    return result;
}

double spectral_norm(ConstMatrixView a) {
    constexpr int iterations = 20;
    const uint64_t block = std::min<uint64_t>({4, a.rows, a.cols});
    Matrix x = random_matrix(a.cols, block, 0);
    double norm = 0;
    for (int i = 0; i < iterations; ++i) {
        orthonormalize(x);
        const Matrix y = product(a, Op::plain, x, Op::plain);
        SquareMatrix g = gram(y);
        norm = std::sqrt(std::max(eigen(g).back(), 0.0));
        if (norm == 0) return 0;
        x = product(a, Op::transpose, y, Op::plain);
    }
    return norm;
}

}  // namespace halftone
