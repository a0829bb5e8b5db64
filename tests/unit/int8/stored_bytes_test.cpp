// From weights to bytes: golden matrices, and what holds for every layout.

#include <cmath>

#include "tests/support/format_promises.hpp"
#include "tests/support/golden_words.hpp"

namespace halftone::format_test {
namespace {

TEST(Int8, EncodesHalfToEvenAndClamps) {
    const Matrix matrix{1, 8, {127.0f, 0.5f, 1.5f, -2.5f, -0.49f, -127.0f, 126.5f, -0.0f}};
    const Plan plan(source_of(1, 8), {{"scaling", "lode"}, {"block_size", "8"}});
    const Grid grid = plan.fit(matrix);
    EXPECT_EQ((Bytes{127, 0, 2, 0xFE, 0, 0x81, 126, 0}), plan.encode(grid, matrix));
    const Matrix beyond{1, 8, {1e9f, -1e9f, 127.4f, -127.6f, 128, -128, 3e38f, -3e38f}};
    EXPECT_EQ((Bytes{127, 0x81, 127, 0x81, 127, 0x81, 127, 0x81}), plan.encode(grid, beyond));
}

TEST(Int8, StoresAllGoldenMatricesAtEveryCpuLevel) {
    GoldenWords golden(std::string(HALFTONE_GOLDEN) + "/int8_matrices.txt");
    int seen = 0;
    for (; golden.entry("matrix"); ++seen) {
        const std::string name = golden.word(), scaling = golden.word(), block = golden.word();
        const std::string rotation = golden.word();
        Matrix matrix;
        matrix.rows = golden.count();
        matrix.cols = golden.count();
        const std::string what = name + " " + scaling + " " + rotation + ", " + golden.word();
        matrix.values = golden.floats(matrix.rows * matrix.cols);
        Choices choices{{"scaling", scaling}, {"block_size", block}};
        if (rotation != "0") {
            choices["rotation"] = "hadamard";
            choices["rotation_group"] = rotation;
        }
        const Bytes codes = golden.bytes(matrix.values.size());
        std::vector<uint32_t> scales;
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(source_of(matrix.rows, matrix.cols), choices);
            const bool rotates = plan.facts().flags & HT_FACT_ROTATES;
            const Matrix input = rotates ? plan.rotated(matrix, false) : matrix;
            const Grid grid = plan.fit(input);
            const Bytes stored = plan.companion(grid, ".weight_scale");
            if (scales.empty()) scales = bits(golden.floats(stored.size() / 4));
            EXPECT_EQ(codes, plan.encode(grid, input)) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(scales, numbers<uint32_t>(stored)) << what << ", " << cpu::name(cpu);
        }
    }
    EXPECT_EQ(66, seen);
}

INSTANTIATE_TEST_SUITE_P(
    Every, FormatPromises,
    ::testing::Values(
        Mode{"block", {{"scaling", "block"}, {"block_size", "4"}}, {16, 80, 4, 4}},
        Mode{"block_mse", {{"scaling", "block"}, {"block_size", "16"}, {"scale", "mse"}}, {64, 80, 16, 16}},
        Mode{"lode", {{"scaling", "lode"}, {"block_size", "8"}}, {12, 600, 1, 8}},
        Mode{"lode_mse", {{"scaling", "lode"}, {"block_size", "8"}, {"scale", "mse"}}, {12, 96, 1, 8}},
        Mode{"tensor", {{"scaling", "tensor"}}, {}},
        Mode{"tensor_mse", {{"scaling", "tensor"}, {"scale", "mse"}}, {9, 700}},
        Mode{"row", {{"scaling", "row"}}, {9, 700}},
        Mode{"row_mse", {{"scaling", "row"}, {"scale", "mse"}}, {9, 700}},
        Mode{"rotated",
             {{"scaling", "row"}, {"rotation", "hadamard"}, {"rotation_group", "16"}},
             {9, 320, 1, 16}}),
    name_of_mode);

TEST_P(FormatPromises, SearchedScalesAreNoWorse) {
    expect_searched_scales_to_be_better(GetParam(), 49);
}
TEST_P(FormatPromises, ZerosHaveScalesOfOne) {
    const Mode& mode = GetParam();
    Matrix matrix{32, 32, std::vector<float>(1024, 0.0f)};
    matrix.values[5] = -0.0f;
    const Plan plan(mode.source(matrix), mode.choices);
    const Grid grid = plan.fit(matrix);
    EXPECT_EQ(Bytes(1024, 0), plan.encode(grid, matrix));
    for (const float scale : numbers<float>(plan.companion(grid, ".weight_scale")))
        EXPECT_EQ(1.0f, scale);
}

// ------------------------------------------------------------------------------------------- rotation

TEST(Int8Rotation, IsTheWorkedExample) {
    const Plan plan(source_of(1, 4), {{"scaling", "row"}, {"rotation", "hadamard"}, {"rotation_group", "4"}});
    EXPECT_EQ((std::vector<float>{2.5f, 1.5f, 1.5f, -2.5f}),
              plan.rotated({1, 4, {4, 0, 0, -1}}, false).values);
}

TEST(Int8Rotation, IsTheKroneckerProductForEveryGroup) {
    const float h4[4][4] = {{1, 1, 1, -1}, {1, 1, -1, 1}, {1, -1, 1, 1}, {-1, 1, 1, 1}};
    for (uint64_t group = 4; group <= 1024; group *= 4) {
        const Plan plan(
            source_of(1, 2 * group),
            {{"scaling", "row"}, {"rotation", "hadamard"}, {"rotation_group", std::to_string(group)}});
        for (const uint64_t k : {uint64_t{0}, uint64_t{3}, group / 2, group - 1}) {
            Matrix unit{1, 2 * group, std::vector<float>(2 * group, 0.0f)};
            unit.values[group + k] = 1;
            const Matrix column = plan.rotated(unit, false);
            for (uint64_t j = 0; j < group; ++j) {
                float expected = 1;
                for (uint64_t a = j, b = k, rest = group; rest > 1; a /= 4, b /= 4, rest /= 4)
                    expected *= h4[a % 4][b % 4] / 2;
                ASSERT_EQ(expected, column.values[group + j]) << group << ": " << j << ", " << k;
                ASSERT_EQ(0.0f, column.values[j]);
            }
        }
    }
}

TEST(Int8Rotation, IsItsOwnInverseOnAnyView) {
    std::mt19937_64 random(31);
    std::normal_distribution<float> normal;
    for (const char* group : {"4", "16", "64", "256"}) {
        Matrix matrix{5, 512, {}};
        for (uint64_t i = 0; i < 5 * 512; ++i)
            matrix.values.push_back(normal(random));
        const Plan plan(source_of(5, 512),
                        {{"scaling", "row"}, {"rotation", "hadamard"}, {"rotation_group", group}});
        const Matrix rotated = plan.rotated(matrix, false), back = plan.rotated(rotated, true);
        for (size_t i = 0; i < matrix.values.size(); ++i)
            ASSERT_NEAR(matrix.values[i], back.values[i], 4e-6f);

        std::vector<float> turned(2 * matrix.values.size());
        const ht_view view{turned.data(), 2, 10};
        for (uint64_t i = 0; i < 5; ++i)
            for (uint64_t j = 0; j < 512; ++j)
                turned[i * 2 + j * 10] = matrix.at(i, j);
        table().rotate(plan.get(), 0, &view, 5);
        for (uint64_t i = 0; i < 5; ++i)
            for (uint64_t j = 0; j < 512; ++j)
                ASSERT_EQ(rotated.at(i, j), turned[i * 2 + j * 10]);
    }
}

}  // namespace
}  // namespace halftone::format_test
