// From weights to bytes: golden matrices, and what holds for both layouts.

#include <cmath>

#include "tests/support/codebook_golden.hpp"
#include "tests/support/format_promises.hpp"
#include "tests/support/golden_words.hpp"

namespace halftone::format_test {
namespace {

const Matrix example{2, 4, {0.5f, -1.25f, 0.003f, 2.0f, -0.75f, 0.1f, -3.0f, 0.0f}};

TEST(Nf4, StoresTheWorkedExample) {
    const Plan plan(source_of(2, 4), {{"block_size", "4"}});
    const Grid grid = plan.fit(example);
    EXPECT_EQ((Bytes{0x1A, 0xF7, 0x74, 0x70}), plan.encode(grid, example));
    EXPECT_EQ((std::vector<float>{2.0f, 3.0f}), numbers<float>(plan.companion(grid, ".absmax")));
}

TEST(Nf4, PutsTheFirstOfTwoInTheUpperHalfForBitsandbytes) {
    Matrix matrix{2, 32, std::vector<float>(64, 0.0f)};
    for (uint64_t i = 0; i < 4; ++i)
        matrix.at(0, i) = example.at(0, i);
    const Plan plan(source_of(2, 32, HT_DIALECT_BITSANDBYTES),
                    {{"block_size", "32"}, {"double_quant", "false"}});
    const Bytes codes = plan.encode(plan.fit(matrix), matrix);
    EXPECT_EQ((Bytes{0xA1, 0x7F, 0x77}), (Bytes{codes[0], codes[1], codes[2]}));
}

TEST(Nf4, StoresAllGoldenMatricesAtEveryCpuLevel) {
    expect_golden_codebooks(std::string(HALFTONE_GOLDEN) + "/nf4_matrices.txt");
}

INSTANTIATE_TEST_SUITE_P(
    Every, FormatPromises,
    ::testing::Values(
        Mode{"comfy", {{"block_size", "6"}}, {12, 90, 2, 3}},
        Mode{"comfy_mse", {{"block_size", "8"}, {"scale", "mse"}}, {16, 60, 8, 1}},
        Mode{"genuine", {{"block_size", "32"}, {"double_quant", "false"}}, {9, 77}, HT_DIALECT_BITSANDBYTES},
        Mode{"genuine_mse",
             {{"block_size", "32"}, {"double_quant", "false"}, {"scale", "mse"}},
             {9, 77},
             HT_DIALECT_BITSANDBYTES},
        Mode{"nested", {{"block_size", "32"}}, {150, 91}, HT_DIALECT_BITSANDBYTES, false}),
    name_of_mode);

TEST(Nf4Search, GainsASeventhOnNormalNumbers) {
    std::mt19937_64 random(48);
    std::normal_distribution<float> normal;
    Matrix matrix{64, 96, {}};
    for (uint64_t i = 0; i < 64 * 96; ++i)
        matrix.values.push_back(normal(random));
    const auto error = [&](const char* scale) {
        const Plan plan(source_of(64, 96), {{"scale", scale}});
        return squared_error(plan.snap(plan.fit(matrix), matrix), matrix);
    };
    EXPECT_LT(error("mse"), 0.875 * error("absmax"));
}
TEST(Nf4Search, IsNeverWorseThanTheLargestMagnitude) {
    expect_searched_scales_to_be_better({"", {{"block_size", "8"}}, {16, 60, 8, 1}}, 49);
    expect_searched_scales_to_be_better(
        {"", {{"block_size", "32"}, {"double_quant", "false"}}, {9, 177}, HT_DIALECT_BITSANDBYTES}, 50);
}

TEST(Nf4, StoresZerosAsCodesOfZero) {
    for (const ht_dialect dialect : {ht_dialect{HT_DIALECT_COMFY}, ht_dialect{HT_DIALECT_BITSANDBYTES}}) {
        const Matrix matrix{4, 16, std::vector<float>(64, -0.0f)};
        const Plan plan(source_of(4, 16, dialect), {{"block_size", "32"}, {"double_quant", "false"}});
        const Grid grid = plan.fit(matrix);
        EXPECT_EQ(Bytes(32, 0x77), plan.encode(grid, matrix));
        for (const float absmax : numbers<float>(plan.companions(grid)[1]))
            EXPECT_EQ(0.0f, absmax);
        EXPECT_EQ(std::vector<float>(64, 0.0f), plan.decode(grid, Bytes(32, 0x77)).values);
    }
}

TEST(Nf4, PadsAnOddTailWithTheCodeOfZero) {
    const Matrix matrix{3, 11, std::vector<float>(33, 1.0f)};
    const Plan plan(source_of(3, 11, HT_DIALECT_BITSANDBYTES),
                    {{"block_size", "32"}, {"double_quant", "false"}});
    const Bytes codes = plan.encode(plan.fit(matrix), matrix);
    ASSERT_EQ(17u, codes.size());
    EXPECT_EQ(0xF7, codes.back());
}

// -------------------------------------------------------------------------------- double quantization

TEST(Nf4Nested, IsTheWorkedExample) {
    Matrix matrix{2, 32, std::vector<float>(64, 0.0f)};
    matrix.at(0, 3) = 2;
    matrix.at(1, 3) = -3;
    const Plan plan(source_of(2, 32, HT_DIALECT_BITSANDBYTES), {{"block_size", "32"}});
    const Grid grid = plan.fit(matrix);
    EXPECT_EQ((Bytes{0, 255}), plan.companion(grid, ".weight.absmax"));
    EXPECT_EQ(std::vector<float>{0.5f}, numbers<float>(plan.companion(grid, ".weight.nested_absmax")));
    const Matrix snapped = plan.snap(grid, matrix);
    EXPECT_FLOAT_EQ(2.00351572f, snapped.at(0, 3));
    EXPECT_EQ(-3.0f, snapped.at(1, 3));
}

TEST(Nf4Nested, HasTheMapOfBitsandbytes) {
    const Plan plan(source_of(2, 32, HT_DIALECT_BITSANDBYTES), {});
    const auto map = numbers<uint32_t>(
        plan.companion(plan.fit({2, 32, std::vector<float>(64, 1.0f)}), ".weight.nested_quant_map"));
    ASSERT_EQ(256u, map.size());
    EXPECT_EQ(0xBF7E3333, map[0]);
    EXPECT_EQ(0xB513A3B7, map[126]);
    EXPECT_EQ(0u, map[127]);
    EXPECT_EQ(0x3513A3B7u, map[128]);
    EXPECT_EQ(0x3F800000u, map[255]);
    GoldenWords golden(std::string(HALFTONE_GOLDEN) + "/nf4_matrices.txt");
    ASSERT_TRUE(golden.entry("nested_map"));
    EXPECT_EQ(bits(golden.floats(256)), map);
}

}  // namespace
}  // namespace halftone::format_test
