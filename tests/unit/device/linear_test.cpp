#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/base/aligned.hpp"
#include "tests/unit/device/on_device.hpp"

namespace halftone {
namespace {

using device_test::downloaded, device_test::machine, device_test::random_matrix, device_test::uploaded;

double element(const Matrix& m, bool transpose, uint64_t i, uint64_t j) {
    return transpose ? m.view().row(j)[i] : m.view().row(i)[j];
}

// max |x' x - 1|
double departure(const Matrix& x) {
    double most = 0;
    for (uint64_t i = 0; i < x.cols(); ++i)
        for (uint64_t j = 0; j <= i; ++j) {
            double sum = 0;
            for (uint64_t k = 0; k < x.rows(); ++k)
                sum += static_cast<double>(x.view().row(k)[i]) * static_cast<double>(x.view().row(k)[j]);
            most = std::max(most, std::fabs(sum - (i == j ? 1 : 0)));
        }
    return most;
}

Matrix transposed(const Matrix& m) {
    Matrix result(m.cols(), m.rows());
    for (uint64_t i = 0; i < m.rows(); ++i)
        for (uint64_t j = 0; j < m.cols(); ++j)
            result.view().row(j)[i] = m.view().row(i)[j];
    return result;
}

// Low rank plus noise: singular values 10, 9, ..., then small ones.
Matrix with_directions(uint64_t rows, uint64_t cols, uint64_t rank, uint32_t seed) {
    const Matrix a = random_matrix(rows, rank, seed), b = random_matrix(rank, cols, seed + 1);
    Matrix result = random_matrix(rows, cols, seed + 2, 0.01f);
    for (uint64_t i = 0; i < rows; ++i)
        for (uint64_t j = 0; j < cols; ++j)
            for (uint64_t k = 0; k < rank; ++k)
                result.view().row(i)[j] +=
                    a.view().row(i)[k] * b.view().row(k)[j] * static_cast<float>(10 + rank - k);
    return result;
}

void expect_product(int32_t precision, double tolerance) {
    DeviceStream stream(machine().device);
    uint32_t seed = 1;
    for (const auto& [m, n, k] : {std::array<uint64_t, 3>{1, 1, 1}, {3, 5, 7}, {300, 20, 64}, {257, 600, 33}})
        for (const bool ta : {false, true})
            for (const bool tb : {false, true}) {
                const Matrix a = ta ? random_matrix(k, m, ++seed) : random_matrix(m, k, ++seed);
                const Matrix b = tb ? random_matrix(n, k, ++seed) : random_matrix(k, n, ++seed);
                const Matrix before = random_matrix(m, n, ++seed);
                const DeviceBuffer at = uploaded(stream, a), bt = uploaded(stream, b),
                                   ct = uploaded(stream, before);
                const double factors[2] = {0.75, -2};
                const DeviceBuffer numbers(machine().device, sizeof factors);
                stream.copy(numbers.data(), factors, sizeof factors);
                stream.gemm({sizeof(ht_linear_gemm), ta, tb, precision, m, n, k, at.as<float>(),
                             bt.as<float>(), ct.as<float>(), a.cols(), b.cols(), n, numbers.as<double>(),
                             numbers.as<double>() + 1});
                const Matrix c = downloaded(stream, ct, m, n);
                for (uint64_t i = 0; i < m; ++i)
                    for (uint64_t j = 0; j < n; ++j) {
                        double sum = 0, size = 0;
                        for (uint64_t x = 0; x < k; ++x) {
                            const double one = element(a, ta, i, x) * element(b, tb, x, j);
                            sum += one;
                            size += std::fabs(one);
                        }
                        const double right = 0.75 * sum - 2 * static_cast<double>(before.view().row(i)[j]);
                        ASSERT_NEAR(c.view().row(i)[j], right, tolerance * (0.75 * size + 2))
                            << i << ' ' << j;
                    }
            }
}

TEST(DeviceLinear, MultipliesAnyShapesAndTranspositionsInFloat32) {
    NEEDS_DEVICE();
    expect_product(HT_GEMM_FLOAT32, 2e-6);
}

TEST(DeviceLinear, MultipliesSplitNumbersWithinTheBoundOfTheContract) {
    NEEDS_DEVICE();
    expect_product(HT_GEMM_SPLIT, 0x1p-16);
}

TEST(DeviceLinear, RepeatsProductsToTheBit) {
    NEEDS_DEVICE();
    DeviceStream stream(machine().device);
    const Matrix a = random_matrix(700, 3000, 1), b = random_matrix(3000, 310, 2);
    const DeviceBuffer at = uploaded(stream, a), bt = uploaded(stream, b),
                       ct(machine().device, 700 * 310 * 4);
    const double factors[2] = {1, 0};
    const DeviceBuffer numbers(machine().device, sizeof factors);
    stream.copy(numbers.data(), factors, sizeof factors);
    for (const int32_t precision : {HT_GEMM_FLOAT32, HT_GEMM_SPLIT}) {
        Matrix first;
        for (int i = 0; i < 5; ++i) {
            stream.gemm({sizeof(ht_linear_gemm), 0, 0, precision, 700, 310, 3000, at.as<float>(),
                         bt.as<float>(), ct.as<float>(), 3000, 310, 310, numbers.as<double>(),
                         numbers.as<double>() + 1});
            Matrix now = downloaded(stream, ct, 700, 310);
            ASSERT_TRUE(i == 0 || std::memcmp(first.data(), now.data(), 700 * 310 * 4) == 0);
            first = std::move(now);
        }
    }
}

TEST(DeviceLinear, OrthonormalizesColumnsEvenIfTheyAreNearlyDependent) {
    NEEDS_DEVICE();
    DeviceStream stream(machine().device);
    for (const float noise : {1.0f, 1e-2f, 1e-4f}) {
        Matrix x = random_matrix(500, 40, 7, noise);
        for (uint64_t i = 0; i < 500; ++i)
            for (uint64_t j = 1; j < 40; ++j)
                x.view().row(i)[j] += x.view().row(i)[0];
        const DeviceBuffer from = uploaded(stream, x), to(machine().device, 500 * 40 * 4),
                           status(machine().device, 4);
        stream.factor(
            {sizeof(ht_linear_factor), 3, 500, 40, from.as<float>(), to.as<float>(), status.as<int32_t>()});
        EXPECT_LT(departure(downloaded(stream, to, 500, 40)), 5e-6) << noise;
    }
}

TEST(DeviceLinear, FindsTheLeadingDirectionsOfTallAndWideMatrices) {
    NEEDS_DEVICE();
    DeviceStream stream(machine().device);
    for (const auto& [rows, cols] : {std::array<uint64_t, 2>{300, 200}, {90, 400}, {64, 64}}) {
        constexpr uint32_t rank = 12;
        const Matrix a = with_directions(rows, cols, rank, 5);
        const DeviceBuffer at = uploaded(stream, a), left(machine().device, rank * rows * 4),
                           right(machine().device, cols * rank * 4), values(machine().device, rank * 4),
                           status(machine().device, 4);
        stream.svd({sizeof(ht_linear_svd), rank, 10, 4, rows, cols, at.as<float>(), left.as<float>(),
                    values.as<float>(), right.as<float>(), status.as<int32_t>(), 3});
        const Matrix u = downloaded(stream, left, rank, rows), v = downloaded(stream, right, cols, rank);
        const Matrix s = downloaded(stream, values, 1, rank);
        EXPECT_LT(departure(transposed(u)), 1e-5);
        EXPECT_LT(departure(v), 1e-5);
        // u a v is diag(s): the directions belong together, and nothing of rank is left over.
        double off = 0, left_over = 0;
        for (uint64_t i = 0; i < rank; ++i)
            for (uint64_t j = 0; j < rank; ++j) {
                double sum = 0;
                for (uint64_t x = 0; x < rows; ++x)
                    for (uint64_t y = 0; y < cols; ++y)
                        sum += static_cast<double>(u.view().row(i)[x]) *
                               static_cast<double>(a.view().row(x)[y]) *
                               static_cast<double>(v.view().row(y)[j]);
                off = std::max(off, std::fabs(sum - (i == j ? static_cast<double>(s.data()[i]) : 0)));
            }
        double all = 0, found = 0;
        for (uint64_t i = 0; i < rows * cols; ++i)
            all += static_cast<double>(a.data()[i]) * static_cast<double>(a.data()[i]);
        for (uint64_t i = 0; i < rank; ++i)
            found += static_cast<double>(s.data()[i]) * static_cast<double>(s.data()[i]);
        left_over = all - found;
        EXPECT_LT(off, 1e-4 * static_cast<double>(s.data()[0]));
        EXPECT_LT(left_over, 1.05 * 1e-4 * static_cast<double>(rows * cols) + 1e-6 * all);
    }
}

TEST(DeviceLinear, RefusesWhatItCannotFactor) {
    NEEDS_DEVICE();
    DeviceStream stream(machine().device);
    const DeviceBuffer a(machine().device, 400), status(machine().device, 4);
    EXPECT_THROW(stream.factor({sizeof(ht_linear_factor), 4, 10, 10, a.as<float>(), a.as<float>(),
                                status.as<int32_t>()}),
                 DeviceFailure);
}

TEST(DeviceMemory, SaysThatItIsUsedUp) {
    NEEDS_DEVICE();
    try {
        const DeviceBuffer far_too_much(machine().device, uint64_t{1} << 45);
        FAIL() << "there was room";
    } catch (const DeviceFailure& failure) {
        EXPECT_EQ(failure.kind(), DeviceFailure::Kind::out_of_memory) << failure.what();
    }
    DeviceStream stream(machine().device);  // and goes on
    const Matrix m = random_matrix(10, 10, 1);
    const Matrix back = downloaded(stream, uploaded(stream, m), 10, 10);
    EXPECT_EQ(0, std::memcmp(m.data(), back.data(), 400));
}

}  // namespace
}  // namespace halftone
