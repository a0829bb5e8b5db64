// From weights to bytes: golden matrices, codebooks, and what holds for all options.

#include <cmath>

#include "tests/support/format_promises.hpp"
#include "tests/support/golden_words.hpp"

namespace halftone::format_test {
namespace {

TEST(AsymW4a8Int8, StoresAllGoldenMatricesAtEveryCpuLevel) {
    GoldenWords golden(std::string(HALFTONE_GOLDEN) + "/asym_w4a8_int8_matrices.txt");
    int seen = 0;
    for (; golden.entry("matrix"); ++seen) {
        const std::string name = golden.word(), group = golden.word(), rotation = golden.word();
        Matrix matrix;
        matrix.rows = golden.count();
        matrix.cols = golden.count();
        const std::string what = name + " " + group + ", " + golden.word();
        matrix.values = golden.floats(matrix.rows * matrix.cols);
        const Bytes codes = golden.bytes(matrix.rows * matrix.cols / 2);
        const auto steps = bits(golden.floats(matrix.rows));
        const Bytes scales = golden.bytes(matrix.rows * matrix.cols / std::stoull(group));
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(source_of(matrix.rows, matrix.cols),
                            {{"group_size", group}, {"rotation_group", rotation}, {"codebook", "fixed"}});
            const Matrix input = plan.rotated(matrix, false);
            const Grid grid = plan.fit(input);
            EXPECT_EQ(codes, plan.encode(grid, input)) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(scales, plan.companion(grid, ".weight_s_rel")) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(steps, numbers<uint32_t>(plan.companion(grid, ".weight_s_channel")))
                << what << ", " << cpu::name(cpu);
        }
    }
    EXPECT_GE(seen, 30);
}

INSTANTIATE_TEST_SUITE_P(
    Every, FormatPromises,
    ::testing::Values(Mode{"plain", {}, {9, 640, 1, 16}}, Mode{"mse", {{"scale", "mse"}}, {9, 640, 1, 16}},
                      Mode{"groups_of_4", {{"group_size", "4"}, {"codebook", "fixed"}}, {9, 96, 1, 16}},
                      Mode{"groups_of_80", {{"group_size", "80"}}, {9, 640, 1, 80}},
                      Mode{"groups_of_576", {{"group_size", "576"}}, {9, 1152, 1, 576}},
                      Mode{"no_codebook", {{"codebook", "none"}}, {9, 320, 1, 16}}),
    name_of_mode);

TEST_P(FormatPromises, SearchedScalesAreNoWorse) {
    expect_searched_scales_to_be_better(GetParam(), 49);
}

Matrix drawn(uint64_t rows, uint64_t cols, uint64_t seed, float outliers) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    Matrix matrix{rows, cols, {}};
    for (uint64_t i = 0; i < rows * cols; ++i)
        matrix.values.push_back(normal(random) * (i % 16 == 0 ? outliers : 1.0f));
    return matrix;
}

double error_of(const Matrix& matrix, const Choices& choices) {
    const Plan plan(source_of(matrix.rows, matrix.cols), choices);
    return squared_error(plan.snap(plan.fit(matrix), matrix), matrix);
}

TEST(AsymCodebook, IsFittedToHeavyTailsAlone) {
    const Matrix normal = drawn(64, 256, 1, 1), heavy = drawn(64, 256, 2, 12);
    const auto codebook = [](const Matrix& matrix, const Choices& choices) {
        const Plan plan(source_of(matrix.rows, matrix.cols), choices);
        return plan.companion(plan.fit(matrix), ".weight_codebook");
    };
    EXPECT_EQ(codebook(normal, {{"codebook", "fixed"}}), codebook(normal, {}));
    EXPECT_NE(codebook(heavy, {{"codebook", "fixed"}}), codebook(heavy, {}));
    EXPECT_LT(error_of(heavy, {}), 0.8 * error_of(heavy, {{"codebook", "fixed"}}));
    const auto levels = numbers<float>(codebook(heavy, {}));
    EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
}

// More numbers than are judged, then than are sampled: granules of several rows.
TEST(AsymCodebook, DoesNotDependOnBandsWhereItIsFittedToASample) {
    for (const uint64_t rows : {700, 9000}) {
        const Matrix matrix = drawn(rows, 1024, 3, 12);
        const Plan plan(source_of(rows, 1024));
        EXPECT_EQ(rows == 700 ? 1u : 2u, plan.facts().granule_rows);
        std::mt19937_64 random(4);
        const Grid whole = plan.fit(matrix), bands = plan.fit(matrix, plan.random_bands(random));
        EXPECT_EQ(0, std::memcmp(whole.get(), bands.get(), plan.facts().grid_bytes));
        EXPECT_NE(numbers<float>(plan.companion(whole, ".weight_codebook"))[0], -0.980602f);
    }
}

TEST(AsymCodebook, SearchedScalesLeaveLessErrorOfNormalWeights) {
    const Matrix matrix = drawn(64, 256, 5, 1);
    EXPECT_LT(error_of(matrix, {{"scale", "mse"}}), 0.99 * error_of(matrix, {}));
}

// Files that others write.
TEST(AsymReading, AddsTheCorrectionOfEveryGroup) {
    const ht_source source = source_of(2, 32, HT_DIALECT_COMFY, 0, HT_DTYPE_F32);
    const Plan plan(source, {{"codebook", "none"}, {"correction", "true"}});
    ASSERT_EQ((std::vector<uint64_t>{2, 2}), plan.shape(".weight_correction"));
    const std::vector<float> corrections = {0.5f, 1.0f, -2.0f, 0.0f};  // group 0 of both rows, then group 1
    const Grid grid = plan.load({{},
                                 {0x38, 0x38, 0x40, 0x38},  // 1, 1, 2, 1
                                 bytes_of(std::vector{0.25f, 1.0f}),
                                 bytes_of(corrections)});
    const Matrix values = plan.decode(grid, Bytes(32, 0x3A));  // 10 - 8, then 3 - 8
    EXPECT_EQ(2 * 0.25f + 0.5f, values.at(0, 0));
    EXPECT_EQ(-5 * 0.25f + 0.5f, values.at(0, 1));
    EXPECT_EQ(2 * 0.25f - 2, values.at(0, 16));
    EXPECT_EQ(4 * 1.0f + 1, values.at(1, 0));
    EXPECT_EQ(-5.0f, values.at(1, 17));
    EXPECT_EQ(values.values, plan.snap(grid, values).values);
    const auto [lo, hi] = plan.around(grid, values);
    EXPECT_EQ(values.values, lo.values);
    EXPECT_EQ(values.values, hi.values);
    EXPECT_EQ(bytes_of(corrections), plan.companion(grid, ".weight_correction"));
}

TEST(AsymReading, TakesCorrectionsOfHalfPrecision) {
    for (const ht_dtype dtype : {HT_DTYPE_BF16, HT_DTYPE_F16}) {
        const Plan plan(source_of(1, 16, HT_DIALECT_COMFY, 0, dtype),
                        {{"codebook", "none"}, {"correction", "true"}});
        EXPECT_EQ(dtype, plan.stored(".weight_correction").dtype);
        const uint16_t word = dtype == HT_DTYPE_BF16 ? 0xBFC0 : 0xBE00;  // -1.5
        const Grid grid = plan.load({{}, {0x38}, bytes_of(std::vector{1.0f}), bytes_of(std::vector{word})});
        EXPECT_EQ(-1.5f, plan.decode(grid, Bytes(8, 0x88)).values[0]);
    }
}

}  // namespace
}  // namespace halftone::format_test
