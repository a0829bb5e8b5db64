// From weights to bytes: worked examples, golden matrices, bands, CPU levels.

#include "tests/support/format_properties.hpp"
#include "tests/support/golden_words.hpp"

namespace halftone::format_test {
namespace {

using Words = std::vector<uint32_t>;

struct Stored {
    Bytes codes, scales;
};

Stored quantize(const Matrix& matrix, const std::string& element, const std::string& scaling,
                uint64_t block = 2, ht_cpu cpu = HT_CPU_BASELINE) {
    const Level level(cpu);
    const Plan plan(source_of(matrix.rows, matrix.cols),
                    {{"element", element}, {"scaling", scaling}, {"block_size", std::to_string(block)}});
    const Grid grid = plan.fit(matrix);
    return {plan.encode(grid, matrix), plan.companion(grid, ".weight_scale")};
}

uint64_t scales_of(const std::string& scaling, const Matrix& matrix, uint64_t block) {
    if (scaling == "tensor") return 1;
    if (scaling == "row") return matrix.rows;
    return (scaling == "block" ? matrix.rows / block : matrix.rows) * (matrix.cols / block);
}

const Matrix example{2, 4, {0.5f, -1.25f, 0.003f, 2.0f, -0.75f, 0.1f, -3.0f, 0.0f}};

TEST(StoredBytes, OfTheWorkedExampleWithOneScale) {
    const Stored stored = quantize(example, "e4m3fn", "tensor");
    EXPECT_EQ((Bytes{0x69, 0xF4, 0x2E, 0x79, 0xEE, 0x57, 0xFE, 0x00}), stored.codes);
    EXPECT_EQ(Words{0x3BDB6DB6}, numbers<uint32_t>(stored.scales));
}

TEST(StoredBytes, OfTheWorkedExampleWithAScalePerRow) {
    const Stored stored = quantize(example, "e4m3fn", "row");
    EXPECT_EQ((Bytes{0x6E, 0xF9, 0x33, 0x7E, 0xEE, 0x57, 0xFE, 0x00}), stored.codes);
    EXPECT_EQ((Words{0x3B924925, 0x3BDB6DB6}), numbers<uint32_t>(stored.scales));
}

TEST(StoredBytes, OfTheWorkedExampleInTiles) {
    const Stored stored = quantize(example, "e4m3fn", "block");
    EXPECT_EQ((Bytes{0x73, 0xFE, 0x2E, 0x79, 0xF8, 0x61, 0xFE, 0x00}), stored.codes);
    EXPECT_EQ((Words{0x3B36DB6E, 0x3BDB6DB6}), numbers<uint32_t>(stored.scales));
}

TEST(StoredBytes, OfTheWorkedExampleInGroupsOfARow) {
    const Stored stored = quantize(example, "e4m3fn", "block3d");
    EXPECT_EQ((Bytes{0x73, 0xFE, 0x33, 0x7E, 0xFE, 0x67, 0xFE, 0x00}), stored.codes);
    EXPECT_EQ((Words{0x3B36DB6E, 0x3B924925, 0x3ADB6DB6, 0x3BDB6DB6}), numbers<uint32_t>(stored.scales));
}

TEST(StoredBytes, OfAllGoldenMatricesAtEveryCpuLevel) {
    GoldenWords golden(std::string(HALFTONE_GOLDEN) + "/fp8_matrices.txt");
    int seen = 0;
    for (; golden.entry("matrix"); ++seen) {
        const std::string name = golden.word(), element = golden.word(), scaling = golden.word();
        const uint64_t block = golden.count();
        Matrix matrix;
        matrix.rows = golden.count();
        matrix.cols = golden.count();
        const std::string what = name + " " + element + " " + scaling + ", " + golden.word();
        matrix.values = golden.floats(matrix.rows * matrix.cols);
        const Bytes codes = golden.bytes(matrix.values.size());
        const Words scales = bits(golden.floats(scales_of(scaling, matrix, block)));
        for (const ht_cpu cpu : cpu::available()) {
            const Stored stored = quantize(matrix, element, scaling, block, cpu);
            EXPECT_EQ(codes, stored.codes) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(scales, numbers<uint32_t>(stored.scales)) << what << ", " << cpu::name(cpu);
        }
    }
    EXPECT_GT(seen, 120);
}

class StoredBytesOf : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
  protected:
    std::string element() const { return std::get<0>(GetParam()); }
    std::string scaling() const { return std::get<1>(GetParam()); }
    bool has_blocks() const { return scaling().starts_with("block"); }
    Mode mode(Shapes shapes = {}) const {
        if (has_blocks()) shapes.row_step = shapes.col_step = block;
        return {"",
                {{"element", element()}, {"scaling", scaling()}, {"block_size", std::to_string(block)}},
                shapes};
    }
    static constexpr uint64_t block = 3;
};
INSTANTIATE_TEST_SUITE_P(EveryMode, StoredBytesOf,
                         ::testing::Combine(::testing::Values("e4m3fn", "e5m2"),
                                            ::testing::Values("tensor", "row", "block", "block3d")),
                         [](const auto& param) {
                             return std::string(std::get<0>(param.param)) + "_" + std::get<1>(param.param);
                         });

TEST_P(StoredBytesOf, AnAllZeroMatrixAreZerosWithScalesOfOne) {
    const Matrix zeros{6, 9, std::vector<float>(54, 0.0f)};
    const Stored stored = quantize(zeros, element(), scaling(), block);
    EXPECT_EQ(Bytes(54, 0), stored.codes);
    EXPECT_EQ(std::vector<float>(scales_of(scaling(), zeros, block), 1.0f), numbers<float>(stored.scales));
}

TEST_P(StoredBytesOf, AGroupOfZerosAmongOthersHasTheScaleOfTheFloor) {
    if (scaling() == "tensor") GTEST_SKIP() << "there is one group";
    Matrix matrix{6, 9, std::vector<float>(54, 0.0f)};
    matrix.at(5, 8) = 1;
    const Stored stored = quantize(matrix, element(), scaling(), block);
    const auto scales = numbers<float>(stored.scales);
    const float most = 448;  // of e5m2, too
    for (size_t i = 0; i + 1 < scales.size(); ++i)
        EXPECT_EQ(1 / (1 / 1e-12f * most), scales[i]);
    EXPECT_EQ(1 / most, scales.back());
}

TEST_P(StoredBytesOf, DoNotDependOnTheBands) {
    expect_bands_do_not_matter(mode(), 11);
}

TEST_P(StoredBytesOf, AreTheSameBeforeAndAfterTheSeal) {
    expect_codes_before_the_seal(mode(), 12);
    // Nor does another seal change them.
    std::mt19937_64 random(12);
    for (int round = 0; round < 30; ++round) {
        const Matrix matrix = random_matrix(random, mode().shapes);
        const Plan plan(mode().source(matrix), mode().choices);
        const Grid grid = plan.fit(matrix);
        const Bytes after = plan.encode(grid, matrix);
        plan.seal(grid);
        ASSERT_EQ(after, plan.encode(grid, matrix));
    }
}

TEST_P(StoredBytesOf, HaveScalesThatAreNormalNumbers) {
    expect_scales_that_are_zero_or_normal(mode({9, 700}), 15);
}

TEST_P(StoredBytesOf, AreTheSameAtEveryCpuLevel) {
    expect_equal_bits_at_every_cpu_level(mode({9, 700}), 13);
}

TEST_P(StoredBytesOf, DoNotDependOnTheStridesOfTheView) {
    expect_strides_do_not_matter(mode({20, 1100}), 14);
}

}  // namespace
}  // namespace halftone::format_test
