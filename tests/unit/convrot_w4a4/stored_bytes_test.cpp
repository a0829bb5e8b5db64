// From weights to bytes: the element, golden matrices, and what holds for all options.

#include <cmath>

#include <halftone/toolbox/int4.hpp>

#include "tests/support/format_promises.hpp"
#include "tests/support/golden_words.hpp"

namespace halftone::format_test {
namespace {

TEST(Int4, RoundsHalfToEvenAndClamps) {
    using toolbox::Int4;
    for (int value = -8; value <= 7; ++value)
        EXPECT_EQ(static_cast<float>(value), Int4::decode(static_cast<uint8_t>(value & 0xF)));
    for (int step = -40; step <= 40; ++step) {
        const float t = static_cast<float>(step) / 4;
        const float expected = std::max(-7.0f, std::min(7.0f, std::nearbyint(t)));
        EXPECT_EQ(expected, Int4::decode(Int4::encode(t))) << t;
        EXPECT_LT(Int4::encode(t), 16) << t;
        for (const float beside : {std::nextafter(t, -100.0f), std::nextafter(t, 100.0f)})
            EXPECT_EQ(std::max(-7.0f, std::min(7.0f, std::nearbyint(beside))),
                      Int4::decode(Int4::encode(beside)));
    }
    EXPECT_EQ(0x7, Int4::encode(3e38f));
    EXPECT_EQ(0x9, Int4::encode(-3e38f));
    EXPECT_EQ(0x0, Int4::encode(-0.0f));
    EXPECT_EQ(0x9, Int4::below(0x9));
    EXPECT_EQ(0x7, Int4::above(0x7));
    EXPECT_EQ(0x0, Int4::above(0xF));
    EXPECT_EQ(0xF, Int4::below(0x0));
}

TEST(ConvrotW4a4, IsTheWorkedExampleInItsBasis) {
    Matrix matrix{1, 64, std::vector<float>(64, 0.0f)};
    const float start[] = {1.4f, -0.7f, 0.35f, 0.1f};
    std::copy(start, start + 4, matrix.values.begin());
    const Plan plan(source_of(1, 64));
    const Grid grid = plan.fit(matrix);
    const Bytes codes = plan.encode(grid, matrix);
    EXPECT_EQ((std::vector<uint32_t>{0x3E4CCCCD}), numbers<uint32_t>(plan.companion(grid, ".weight_scale")));
    EXPECT_EQ(0xC7, codes[0]);
    EXPECT_EQ(0x02, codes[1]);
}

TEST(ConvrotW4a4, StoresAllGoldenMatricesAtEveryCpuLevel) {
    GoldenWords golden(std::string(HALFTONE_GOLDEN) + "/convrot_w4a4_matrices.txt");
    int seen = 0;
    for (; golden.entry("matrix"); ++seen) {
        const std::string name = golden.word(), group = golden.word();
        Matrix matrix;
        matrix.rows = golden.count();
        matrix.cols = golden.count();
        const std::string what = name + " " + group + ", " + golden.word();
        matrix.values = golden.floats(matrix.rows * matrix.cols);
        const Bytes codes = golden.bytes(matrix.rows * matrix.cols / 2);
        const auto scales = bits(golden.floats(matrix.rows));
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(source_of(matrix.rows, matrix.cols), {{"rotation_group", group}});
            const Matrix input = plan.rotated(matrix, false);
            const Grid grid = plan.fit(input);
            EXPECT_EQ(codes, plan.encode(grid, input)) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(scales, numbers<uint32_t>(plan.companion(grid, ".weight_scale")))
                << what << ", " << cpu::name(cpu);
        }
    }
    EXPECT_GE(seen, 24);
}

TEST(ConvrotW4a4, ReadsTheCodeThatItNeverWrites) {
    const Plan plan(source_of(1, 64));
    const Grid grid = plan.load({{}, bytes_of(std::vector{0.5f})});
    const Matrix values = plan.decode(grid, Bytes(32, 0x87));
    EXPECT_EQ(3.5f, values.values[0]);
    EXPECT_EQ(-4.0f, values.values[1]);
}

INSTANTIATE_TEST_SUITE_P(Every, FormatPromises,
                         ::testing::Values(Mode{"absmax", {}, {9, 640, 1, 64}},
                                           Mode{"mse", {{"scale", "mse"}}, {9, 640, 1, 64}},
                                           Mode{"groups_of_4", {{"rotation_group", "4"}}, {9, 320, 1, 64}}),
                         name_of_mode);

TEST_P(FormatPromises, SearchedScalesAreNoWorse) {
    expect_searched_scales_to_be_better(GetParam(), 49);
}

TEST(ConvrotW4a4, StoresZerosWithTheFloor) {
    const Matrix matrix{3, 64, std::vector<float>(192, -0.0f)};
    const Plan plan(source_of(3, 64));
    const Grid grid = plan.fit(matrix);
    EXPECT_EQ(Bytes(96, 0), plan.encode(grid, matrix));
    for (const float scale : numbers<float>(plan.companion(grid, ".weight_scale")))
        EXPECT_EQ(1e-10f / 7, scale);
}

}  // namespace
}  // namespace halftone::format_test
