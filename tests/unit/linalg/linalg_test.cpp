#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include "core/linalg/factor.hpp"
#include "core/linalg/gemm.hpp"
#include "core/linalg/svd.hpp"

namespace halftone {
namespace {

Matrix random_matrix(uint64_t rows, uint64_t cols, uint32_t seed, float size = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, size);
    Matrix result(rows, cols);
    for (uint64_t i = 0; i < rows * cols; ++i)
        result.data()[i] = normal(random);
    return result;
}

double at(ConstMatrixView m, Op op, uint64_t i, uint64_t j) {
    return static_cast<double>(op == Op::plain ? m.row(i)[j] : m.row(j)[i]);
}

double departure(ConstMatrixView x) {
    const SquareMatrix g = gram(x);
    double most = 0;
    for (uint64_t i = 0; i < g.n; ++i)
        for (uint64_t j = 0; j < g.n; ++j)
            most = std::max(most, std::fabs(g(i, j) - (i == j ? 1 : 0)));
    return most;
}

TEST(Gemm, MultipliesAnyShapesAndTranspositions) {
    for (const auto& [m, n, k] : {std::array<uint64_t, 3>{1, 1, 1}, {3, 5, 7}, {300, 20, 64}, {257, 600, 33}})
        for (const Op op_a : {Op::plain, Op::transpose})
            for (const Op op_b : {Op::plain, Op::transpose}) {
                const Matrix a = op_a == Op::plain ? random_matrix(m, k, 1) : random_matrix(k, m, 1);
                const Matrix b = op_b == Op::plain ? random_matrix(k, n, 2) : random_matrix(n, k, 2);
                Matrix c = random_matrix(m, n, 3);
                const Matrix before = random_matrix(m, n, 3);
                gemm(0.5f, a, op_a, b, op_b, 2, c);
                for (uint64_t i = 0; i < m; i += 1 + m / 7)
                    for (uint64_t j = 0; j < n; j += 1 + n / 7) {
                        double sum = 0;
                        for (uint64_t l = 0; l < k; ++l)
                            sum += at(a, op_a, i, l) * at(b, op_b, l, j);
                        EXPECT_NEAR(0.5 * sum + 2 * static_cast<double>(before.view().row(i)[j]),
                                    static_cast<double>(c.view().row(i)[j]), 1e-4);
                    }
            }
}

TEST(Linalg, GivesTheSameBitsForAnyNumberOfThreads) {
    const Matrix a = random_matrix(700, 500, 4);
    const auto all = [&](int threads) {
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                        static_cast<size_t>(threads));
        tbb::task_arena arena(threads);
        return arena.execute([&] { return truncated_svd(a, 90, 7); });
    };
    const TruncatedSvd one = all(1), four = all(4);
    EXPECT_EQ(one.values, four.values);
    EXPECT_EQ(0, std::memcmp(one.left.data(), four.left.data(), 90 * 700 * sizeof(float)));
    EXPECT_EQ(0, std::memcmp(one.right.data(), four.right.data(), 90 * 500 * sizeof(float)));
}

TEST(Orthonormalize, HoldsForDependentAndBadlyScaledColumns) {
    Matrix x = random_matrix(400, 60, 5);
    for (uint64_t i = 0; i < 400; ++i)
        for (uint64_t j = 0; j < 60; ++j) {
            float& at = x.view().row(i)[j];
            if (j >= 40) at = x.view().row(i)[j - 40];              // twenty columns twice
            at *= std::pow(10.0f, static_cast<float>(j % 12) - 6);  // twelve orders of magnitude
        }
    orthonormalize(x);
    EXPECT_LT(departure(x), 1e-5);
    Matrix zero(50, 10);
    orthonormalize(zero);
    EXPECT_LT(departure(zero), 1e-5);
}

TEST(Cholesky, FactorsAndInvertsAndSeesWhatIsNotPositive) {
    SquareMatrix a = gram(random_matrix(100, 40, 6));
    const SquareMatrix before = a;
    ASSERT_TRUE(cholesky(a));
    SquareMatrix inverse = a;
    invert_lower(inverse);
    for (uint64_t i = 0; i < 40; ++i)
        for (uint64_t j = 0; j < 40; ++j) {
            double back = 0, one = 0;
            for (uint64_t k = 0; k < 40; ++k) {
                back += a(i, k) * a(j, k);
                one += inverse(i, k) * a(k, j);
            }
            EXPECT_NEAR(back, before(i, j), 1e-9);
            EXPECT_NEAR(one, i == j ? 1 : 0, 1e-9);
        }
    SquareMatrix bad(2);
    bad(0, 0) = 1;
    bad(1, 1) = -1;
    EXPECT_FALSE(cholesky(bad));
}

// A matrix with known singular directions and a gap after the tenth.
TEST(TruncatedSvd, FindsTheLeadingDirections) {
    for (const auto& [rows, cols] : {std::pair<uint64_t, uint64_t>{300, 120}, {120, 300}}) {
        constexpr uint64_t inner = 50, rank = 10;
        Matrix u = random_matrix(rows, inner, 8), v = random_matrix(cols, inner, 9);
        orthonormalize(u);
        orthonormalize(v);
        Matrix scaled(rows, inner);
        for (uint64_t i = 0; i < rows; ++i)
            for (uint64_t j = 0; j < inner; ++j)
                scaled.view().row(i)[j] = u.view().row(i)[j] * (j < rank ? 20 - static_cast<float>(j) : 5);
        Matrix a(rows, cols);
        gemm(1, scaled, Op::plain, v, Op::transpose, 0, a);
        const TruncatedSvd svd = truncated_svd(a, rank, 1);
        for (uint64_t i = 0; i < rank; ++i)
            EXPECT_NEAR(svd.values[i], 20 - static_cast<double>(i), 1e-4);
        Matrix overlap_u(rank, rank), overlap_v(rank, rank);
        gemm(1, svd.left, Op::plain, u.view().block(0, 0, rows, rank), Op::plain, 0, overlap_u);
        gemm(1, svd.right, Op::transpose, v.view().block(0, 0, cols, rank), Op::plain, 0, overlap_v);
        for (uint64_t i = 0; i < rank; ++i) {  // the same sign on both sides
            EXPECT_NEAR(std::fabs(overlap_u.view().row(i)[i]), 1, 1e-4);
            EXPECT_NEAR(overlap_u.view().row(i)[i], overlap_v.view().row(i)[i], 1e-4);
        }
        EXPECT_LT(departure(svd.right), 1e-5);
    }
}

TEST(TruncatedSvd, TakesMatricesOfLowRankAndZero) {
    Matrix a(80, 50);
    for (uint64_t i = 0; i < 80; ++i)
        for (uint64_t j = 0; j < 50; ++j)
            a.view().row(i)[j] = static_cast<float>(i + 1) * static_cast<float>(j + 1);
    const TruncatedSvd svd = truncated_svd(a, 20, 3);
    EXPECT_NEAR(svd.values[0] * svd.values[0], squared_norm(a), 1e-4 * squared_norm(a));
    EXPECT_LT(svd.values[1], 1e-2 * svd.values[0]);
    EXPECT_LT(departure(svd.right), 1e-5);
    const TruncatedSvd none = truncated_svd(Matrix(30, 20), 5, 3);
    EXPECT_EQ(none.values, std::vector<double>(5, 0.0));
}

TEST(RankRule, FollowsItsThreeNumbers) {
    EXPECT_EQ(614u, (RankRule{0.2, 64, 1024}.rank(3072, 12288)));
    EXPECT_EQ(64u, (RankRule{0.2, 64, 1024}.rank(100, 200)));
    EXPECT_EQ(50u, (RankRule{0.2, 64, 1024}.rank(50, 200)));
    EXPECT_EQ(1024u, (RankRule{0.5, 64, 1024}.rank(4096, 4096)));
}

TEST(SpectralNorm, IsTheLargestSingularValue) {
    Matrix a(40, 30);
    for (uint64_t i = 0; i < 30; ++i)
        a.view().row(i)[i] = static_cast<float>(i + 1);
    EXPECT_NEAR(spectral_norm(a), 30, 0.3);
    EXPECT_EQ(spectral_norm(Matrix(4, 4)), 0);
}

}  // namespace
}  // namespace halftone
