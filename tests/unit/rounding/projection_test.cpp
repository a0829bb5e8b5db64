#include "core/rounding/projection.hpp"

#include <gtest/gtest.h>

#include "tests/unit/rounding/support.hpp"

namespace halftone::rounding_test {
namespace {

struct Shape {
    uint64_t rows, cols, left, right;  // 0: the identity
};

class EveryPairOfFactors : public testing::TestWithParam<Shape> {};

// Products in double precision, element by element.
Matrix by_hand(const Matrix& left, const Matrix& e, const Matrix& right) {
    const auto times = [](const Matrix& a, const Matrix& b) {
        Matrix c(a.rows(), b.cols());
        for (uint64_t i = 0; i < a.rows(); ++i)
            for (uint64_t j = 0; j < b.cols(); ++j) {
                double sum = 0;
                for (uint64_t k = 0; k < a.cols(); ++k)
                    sum += static_cast<double>(a.view().row(i)[k]) * static_cast<double>(b.view().row(k)[j]);
                c.view().row(i)[j] = static_cast<float>(sum);
            }
        return c;
    };
    Matrix result = left.empty() ? copy_of(e) : times(left, e);
    return right.empty() ? std::move(result) : times(result, right);
}

Matrix transposed(const Matrix& m) {
    if (m.empty()) return {};
    Matrix result(m.cols(), m.rows());
    for (uint64_t i = 0; i < m.rows(); ++i)
        for (uint64_t j = 0; j < m.cols(); ++j)
            result.view().row(j)[i] = m.view().row(i)[j];
    return result;
}

void expect_close(const Matrix& a, const Matrix& b) {
    ASSERT_EQ(a.rows(), b.rows());
    ASSERT_EQ(a.cols(), b.cols());
    for (uint64_t i = 0; i < a.rows() * a.cols(); ++i)
        ASSERT_NEAR(a.data()[i], b.data()[i], 2e-3) << i;
}

TEST_P(EveryPairOfFactors, ProjectsAndLiftsAsMatricesMultiply) {
    const Shape s = GetParam();
    Factors factors;
    if (s.left) factors.left = random_matrix(s.left, s.rows, 1, 1);
    if (s.right) factors.right = random_matrix(s.cols, s.right, 2, 1);
    const Matrix e = random_matrix(s.rows, s.cols, 3, 0.1f);

    Matrix p(factors.p_rows(s.rows), factors.p_cols(s.cols));
    const Projection project(factors, s.rows, s.cols);
    std::vector<int> seen(project.tiles());
    project(
        [&](const TilePlace& at, MatrixView out) {
            ++seen.at(at.index);
            for (uint64_t i = 0; i < at.rows; ++i)
                std::copy_n(e.view().row(at.row + i) + at.col, at.cols, out.row(i));
        },
        p);
    EXPECT_EQ(seen, std::vector<int>(project.tiles(), 1)) << "a tile was not made exactly once";
    expect_close(p, by_hand(factors.left, e, factors.right));

    Matrix lifted = copy_of(e);
    const Lift lift(factors, p, s.rows, s.cols);
    const uint64_t half = s.rows / 2;
    lift.tile(0, 0, 0.5f, 1, lifted.view().block(0, 0, half, s.cols));
    lift.tile(half, 0, 0.5f, 1, lifted.view().block(half, 0, s.rows - half, s.cols));
    Matrix expected = by_hand(transposed(factors.left), p, transposed(factors.right));
    for (uint64_t i = 0; i < s.rows * s.cols; ++i) {
        const double want = 0.5 * static_cast<double>(expected.data()[i]) + static_cast<double>(e.data()[i]);
        ASSERT_NEAR(lifted.data()[i], want, 1e-3 * (1 + std::fabs(want))) << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, EveryPairOfFactors,
                         testing::Values(Shape{30, 50, 7, 9}, Shape{300, 20, 5, 4}, Shape{20, 700, 6, 8},
                                         Shape{270, 530, 3, 3}, Shape{40, 60, 0, 9}, Shape{300, 40, 0, 5},
                                         Shape{40, 60, 9, 0}, Shape{30, 600, 4, 0}, Shape{33, 44, 0, 0},
                                         Shape{260, 520, 0, 0}, Shape{2, 1, 1, 1}));

}  // namespace
}  // namespace halftone::rounding_test
