// From weights to bytes: golden matrices, and what holds for both layouts.

#include <cmath>

#include <halftone/toolbox/fp4.hpp>
#include <halftone/toolbox/scalar_levels.hpp>

#include "tests/support/codebook_golden.hpp"
#include "tests/support/format_promises.hpp"

namespace halftone::format_test {
namespace {

const Matrix example{2, 4, {0.5f, -1.25f, 0.003f, 2.0f, -0.75f, 0.1f, -3.0f, 0.0f}};

TEST(Fp4, StoresTheWorkedExample) {
    const Plan plan(source_of(2, 4), {{"block_size", "4"}});
    const Grid grid = plan.fit(example);
    EXPECT_EQ((Bytes{0xA7, 0x30, 0x1F, 0x0B}), plan.encode(grid, example));
    EXPECT_EQ((std::vector<float>{2.0f, 3.0f}), numbers<float>(plan.companion(grid, ".absmax")));
}

TEST(Fp4, StoresAllGoldenMatricesAtEveryCpuLevel) {
    expect_golden_codebooks(std::string(HALFTONE_GOLDEN) + "/fp4_matrices.txt");
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

TEST(Fp4Search, IsNeverWorseThanTheLargestMagnitude) {
    expect_searched_scales_to_be_better({"", {{"block_size", "8"}}, {16, 60, 8, 1}}, 49);
    expect_searched_scales_to_be_better(
        {"", {{"block_size", "32"}, {"double_quant", "false"}}, {9, 177}, HT_DIALECT_BITSANDBYTES}, 50);
}

TEST(Fp4, StoresZerosAsCodesOfZero) {
    for (const ht_dialect dialect : {ht_dialect{HT_DIALECT_COMFY}, ht_dialect{HT_DIALECT_BITSANDBYTES}}) {
        const Matrix matrix{4, 16, std::vector<float>(64, -0.0f)};
        const Plan plan(source_of(4, 16, dialect), {{"block_size", "32"}, {"double_quant", "false"}});
        const Grid grid = plan.fit(matrix);
        EXPECT_EQ(Bytes(32, 0), plan.encode(grid, matrix));
        for (const float absmax : numbers<float>(plan.companions(grid)[1]))
            EXPECT_EQ(0.0f, absmax);
        EXPECT_EQ(std::vector<float>(64, 0.0f), plan.decode(grid, Bytes(32, 0)).values);
        EXPECT_EQ(std::vector<float>(64, 0.0f), plan.decode(grid, Bytes(32, 0x88)).values);
    }
}

template <class Element>
void expect_an_element_of_fifteen_values() {
    const toolbox::ScalarLevels& levels = toolbox::scalar_levels<Element>();
    ASSERT_EQ(15u, levels.level.size());
    EXPECT_EQ(0, levels.zero);
    for (size_t i = 0; i < 15; ++i) {
        const uint8_t code = Element::encode(levels.level[i]);
        EXPECT_EQ(levels.level[i], Element::decode(code));
        EXPECT_EQ(levels.level[std::min<size_t>(i + 1, 14)], Element::decode(Element::above(code)));
        EXPECT_EQ(levels.level[i > 0 ? i - 1 : 0], Element::decode(Element::below(code)));
        if (i < 14) {
            EXPECT_LT(levels.level[i], levels.level[i + 1]);
            EXPECT_EQ(levels.level[i], Element::rounded(levels.upper[i]));
            EXPECT_EQ(levels.level[i + 1], Element::rounded(std::nextafterf(levels.upper[i], 2.0f)));
        }
    }
    EXPECT_EQ(Element::decode(Element::above(0)), Element::decode(Element::above(8)));
    EXPECT_EQ(Element::decode(Element::below(0)), Element::decode(Element::below(8)));
}

TEST(Fp4, HasFifteenValuesInSixteenCodes) {
    expect_an_element_of_fifteen_values<toolbox::Fp4Comfy>();
    expect_an_element_of_fifteen_values<toolbox::Fp4Bitsandbytes>();
}

}  // namespace
}  // namespace halftone::format_test
