// From weights to bytes: worked examples, golden matrices, bands, CPU levels.

#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

#include "core/base/cpu.hpp"
#include "tests/unit/fp8/golden.hpp"
#include "tests/unit/fp8/random_matrix.hpp"

namespace halftone::fp8_test {
namespace {

using Codes = std::vector<uint8_t>;
using Words = std::vector<uint32_t>;

const Matrix example{2, 4, {0.5f, -1.25f, 0.003f, 2.0f, -0.75f, 0.1f, -3.0f, 0.0f}};

TEST(StoredBytes, OfTheWorkedExampleWithOneScale) {
    const Stored stored = quantize(example, "e4m3fn", "tensor");
    EXPECT_EQ((Codes{0x69, 0xF4, 0x2E, 0x79, 0xEE, 0x57, 0xFE, 0x00}), stored.codes);
    EXPECT_EQ(Words{0x3BDB6DB6}, bits(stored.scales));
}

TEST(StoredBytes, OfTheWorkedExampleWithAScalePerRow) {
    const Stored stored = quantize(example, "e4m3fn", "row");
    EXPECT_EQ((Codes{0x6E, 0xF9, 0x33, 0x7E, 0xEE, 0x57, 0xFE, 0x00}), stored.codes);
    EXPECT_EQ((Words{0x3B924925, 0x3BDB6DB6}), bits(stored.scales));
}

TEST(StoredBytes, OfAllGoldenMatricesAtEveryCpuLevel) {
    const auto matrices = golden_matrices();
    ASSERT_GT(matrices.size(), 50u);
    for (const GoldenMatrix& golden : matrices)
        for (const ht_cpu cpu : cpu::available()) {
            const Stored stored = quantize(golden.weights, golden.element, golden.scale_per, cpu);
            const std::string what = golden.name + " " + golden.element + " " + golden.scale_per + ", " +
                                     golden.reference + ", " + cpu::name(cpu);
            EXPECT_EQ(golden.stored.codes, stored.codes) << what;
            EXPECT_EQ(bits(golden.stored.scales), bits(stored.scales)) << what;
        }
}

class StoredBytesOf : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
  protected:
    std::string element() const { return std::get<0>(GetParam()); }
    std::string scale_per() const { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(EveryMode, StoredBytesOf,
                         ::testing::Combine(::testing::Values("e4m3fn", "e5m2"),
                                            ::testing::Values("tensor", "row")),
                         [](const auto& param) {
                             return std::string(std::get<0>(param.param)) + "_" + std::get<1>(param.param);
                         });

TEST_P(StoredBytesOf, AnAllZeroMatrixAreZerosWithScalesOfOne) {
    const Stored stored = quantize({3, 5, std::vector<float>(15, 0.0f)}, element(), scale_per());
    EXPECT_EQ(Codes(15, 0), stored.codes);
    EXPECT_EQ(std::vector<float>(scale_per() == "row" ? 3 : 1, 1.0f), stored.scales);
}

TEST_P(StoredBytesOf, DoNotDependOnTheBands) {
    std::mt19937_64 random(11);
    for (int round = 0; round < 60; ++round) {
        const Matrix matrix = random_matrix(random);
        std::vector<uint64_t> starts;
        for (uint64_t row = 1; row < matrix.rows; ++row)
            if (random() % 3 == 0) starts.push_back(row);
        const Plan plan(source_of(matrix.rows, matrix.cols), Values(element(), scale_per()));
        const Grid in_one = plan.fit(matrix), in_bands = plan.fit(matrix, starts);
        ASSERT_EQ(0, std::memcmp(in_one.get(), in_bands.get(), plan.facts().grid_bytes));
        ASSERT_EQ(plan.encode(in_one, matrix), plan.encode(in_bands, matrix, starts));
    }
}

// What the flag HT_FACT_ENCODE_BEFORE_SEAL promises.
TEST_P(StoredBytesOf, AreTheSameBeforeAndAfterTheSeal) {
    std::mt19937_64 random(12);
    for (int round = 0; round < 30; ++round) {
        const Matrix matrix = random_matrix(random);
        const Plan plan(source_of(matrix.rows, matrix.cols), Values(element(), scale_per()));
        ASSERT_TRUE(plan.facts().flags & HT_FACT_ENCODE_BEFORE_SEAL);
        const Grid grid = plan.fit(matrix);
        const Codes after = plan.encode(grid, matrix);
        ht_error error{};
        error.size = sizeof error;
        ASSERT_EQ(HT_OK, table().fit_seal(plan.get(), grid.get(), &error));
        ASSERT_EQ(after, plan.encode(grid, matrix));

        const Grid unsealed = plan.make_grid();
        std::vector<float> partials(matrix.rows);
        const ht_region region = whole(matrix);
        const ht_view view = view_of(matrix);
        if (plan.facts().passes) {
            table().fit_pass(plan.get(), 0, &region, &view, nullptr, unsealed.get(), partials.data());
            ASSERT_EQ(HT_OK,
                      table().fit_fold(plan.get(), 0, partials.data(), matrix.rows, unsealed.get(), &error));
        }
        table().fit_band(plan.get(), &region, &view, nullptr, unsealed.get());
        ASSERT_EQ(after, plan.encode(unsealed, matrix));
    }
}

TEST_P(StoredBytesOf, AreTheSameAtEveryCpuLevel) {
    std::mt19937_64 random(13);
    for (int round = 0; round < 40; ++round) {
        const Matrix matrix = random_matrix(random, 9, 700);
        const Stored baseline = quantize(matrix, element(), scale_per());
        for (const ht_cpu cpu : cpu::available()) {
            const Stored stored = quantize(matrix, element(), scale_per(), cpu);
            ASSERT_EQ(baseline.codes, stored.codes) << cpu::name(cpu);
            ASSERT_EQ(bits(baseline.scales), bits(stored.scales)) << cpu::name(cpu);
        }
    }
}

// A column-major view, and a matrix with a gap after every element.
TEST_P(StoredBytesOf, DoNotDependOnTheStridesOfTheView) {
    std::mt19937_64 random(14);
    for (int round = 0; round < 20; ++round) {
        const Matrix matrix = random_matrix(random, 20, 1100);
        const Plan plan(source_of(matrix.rows, matrix.cols), Values(element(), scale_per()));
        const Grid grid = plan.fit(matrix);
        const int64_t gap = 1 + static_cast<int64_t>(random() % 3);
        std::vector<float> turned(matrix.values.size() * static_cast<uint64_t>(gap));
        const ht_view view{turned.data(), gap, static_cast<int64_t>(matrix.rows) * gap};
        for (uint64_t i = 0; i < matrix.rows; ++i)
            for (uint64_t j = 0; j < matrix.cols; ++j)
                turned[(j * matrix.rows + i) * static_cast<uint64_t>(gap)] = matrix.at(i, j);
        const ht_region region = whole(matrix);

        Codes codes(matrix.values.size());
        table().encode(plan.get(), grid.get(), &region, &view, codes.data());
        EXPECT_EQ(plan.encode(grid, matrix), codes);

        table().snap(plan.get(), grid.get(), &region, &view, &view);
        Matrix snapped = matrix;
        for (uint64_t i = 0; i < matrix.rows; ++i)
            for (uint64_t j = 0; j < matrix.cols; ++j)
                snapped.at(i, j) = turned[(j * matrix.rows + i) * static_cast<uint64_t>(gap)];
        EXPECT_EQ(bits(plan.snap(grid, matrix).values), bits(snapped.values));
    }
}

}  // namespace
}  // namespace halftone::fp8_test
