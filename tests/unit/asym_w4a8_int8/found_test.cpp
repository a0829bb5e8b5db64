// Layers that are read and not written: codes of 6 bits, group scales in float32.

#include <cmath>
#include <gtest/gtest.h>

#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

struct Parts {
    uint64_t rows = 1, cols = 32;
    bool six = true, wide = false, book = false;
};

Layer::Recognized recognized(const Parts& parts) {
    const uint64_t groups = parts.cols / 16;
    Layer layer(R"({"format": "asym_w4a8_int8", "convrot_groupsize": 16})");
    layer.add(".weight", HT_DTYPE_I8, {parts.rows, parts.cols * (parts.six ? 6 : 4) / 8});
    layer.add(".weight_s_rel", parts.wide ? HT_DTYPE_F32 : HT_DTYPE_F8_E4M3, {parts.rows, groups});
    layer.add(".weight_s_channel", HT_DTYPE_F32, {parts.rows});
    if (parts.book) layer.add(".weight_codebook", HT_DTYPE_F32, {16});
    return layer.recognized();
}

TEST(AsymW4a8Int8Found, DecodesTheWorkedExampleOf6Bits) {
    const auto found = recognized({});
    const Plan plan(found.source, *found.values);
    const Bytes codes = {0x21, 0x64, 0xA8, 0xEC, 0x20, 0x64, 0xA8, 0xEC, 0x2F, 0x64, 0xA9, 0xFD,
                         0x31, 0x74, 0xC9, 0xFE, 0x00, 0x00, 0x55, 0x55, 0xA9, 0xAA, 0xFF, 0xFF};
    const uint32_t step_bits = 0x3C81A0E2;
    float step;
    std::memcpy(&step, &step_bits, sizeof step);
    const Grid grid = plan.load({{}, {0x48, 0x2C}, bytes_of(std::vector{step})});
    const float whole[32] = {-124, -120, -112, -104, -96, -88, -80, -72, -64, -56, -48,
                             -40,  -32,  -24,  -16,  -8,  0,   1,   2,   2,   3,   4,
                             5,    6,    6,    7,    8,   9,   9,   10,  11,  12};
    const Matrix values = plan.decode(grid, codes);
    for (size_t j = 0; j < 32; ++j)
        EXPECT_EQ(whole[j] * step, values.values[j]) << j;
    EXPECT_EQ((Bytes{0x48, 0x2C}), plan.companion(grid, ".weight_s_rel"));
    // Two codes may stand for one number: what comes back has the same values.
    EXPECT_EQ(values.values, plan.decode(grid, plan.encode(grid, values)).values);
    EXPECT_EQ(values.values, plan.snap(grid, values).values);
    const auto [low, high] = plan.around(grid, values);
    EXPECT_EQ(values.values, low.values);
    EXPECT_EQ(values.values, high.values);
    for (const float slope : plan.sigma(grid).values)
        EXPECT_EQ(step, slope);
    ht_table levels{};
    Reported reported;
    EXPECT_EQ(HT_REFUSED, table().table(plan.get(), grid.get(), &levels, reported));
}

// Each code in each place, in bands of a row.
TEST(AsymW4a8Int8Found, TakesCodesFromBothPlanes) {
    const Parts parts{.rows = 64, .cols = 64};
    const auto found = recognized(parts);
    const Plan plan(found.source, *found.values);
    Bytes codes(64 * 48, 0);
    for (uint64_t i = 0; i < 64; ++i)
        for (uint64_t j = 0; j < 64; ++j) {
            const uint64_t code = (i + j) % 64;
            codes[i * 48 + j / 2] |= static_cast<uint8_t>((code & 15) << j % 2 * 4);
            codes[i * 48 + 32 + j / 4] |= static_cast<uint8_t>(code >> 4 << j % 4 * 2);
        }
    const Grid grid =
        plan.load({{}, Bytes(64 * 4, 0x38), bytes_of(std::vector<float>(64, 0.5f))});  // scales of 1
    const Matrix values = plan.decode(grid, codes, {7, 20, 63});
    for (uint64_t i = 0; i < 64; ++i)
        for (uint64_t j = 0; j < 64; ++j)
            ASSERT_EQ((static_cast<float>((i + j) % 64) - 32) / 2, values.at(i, j));
    EXPECT_EQ(codes, plan.encode(grid, values, {1, 33}));
}

TEST(AsymW4a8Int8Found, TakesGroupScalesInFloat32AsTheyAre) {
    for (const bool book : {false, true}) {
        const auto found = recognized({.six = false, .wide = true, .book = book});
        const Plan plan(found.source, *found.values);
        std::vector<float> levels;
        for (int i = 0; i < 16; ++i)
            levels.push_back(book ? static_cast<float>(i * i) / 200 - 0.4f : static_cast<float>(i - 8));
        const std::vector<float> scales = {0.3f, 100.7f};
        Bytes codes;
        for (uint64_t j = 0; j < 32; j += 2)
            codes.push_back(static_cast<uint8_t>(j % 16 | (j + 1) % 16 << 4));
        std::vector<Bytes> companions = {{}, bytes_of(scales), bytes_of(std::vector{0.013f})};
        if (book) companions.push_back(bytes_of(levels));
        const Grid grid = plan.load(companions);
        const Matrix values = plan.decode(grid, codes);
        for (uint64_t j = 0; j < 32; ++j) {
            const float level = std::nearbyint(levels[j % 16] * scales[j / 16]);
            EXPECT_EQ(std::min(127.0f, std::max(-127.0f, level)) * 0.013f, values.values[j]) << j;
        }
        EXPECT_EQ(companions, plan.companions(grid));
    }
}

TEST(AsymW4a8Int8Found, RefusesNumbersThatMakeNoSense) {
    const auto found = recognized({.six = false, .wide = true});
    const Plan plan(found.source, *found.values);
    const auto reason = [&](std::vector<float> scales, float step) {
        return refusal([&] { plan.load({{}, bytes_of(scales), bytes_of(std::vector{step})}); });
    };
    EXPECT_EQ("", reason({1, 0}, 1));
    for (const float bad : {-1.0f, NAN, INFINITY}) {
        EXPECT_NE("", reason({1, bad}, 1));
        EXPECT_NE("", reason({1, 1}, bad));
    }
    EXPECT_EQ("there is no .weight_s_channel", refusal([&] {
                  plan.load({{}, bytes_of(std::vector{1.0f, 1.0f}), {}});
              }));
    const auto six = recognized({});
    const Plan codes(six.source, *six.values);
    for (const uint8_t bad : {uint8_t{0x7F}, uint8_t{0xB8}})
        EXPECT_NE("", refusal([&] { codes.load({{}, {0x38, bad}, bytes_of(std::vector{1.0f})}); }));
}

}  // namespace
}  // namespace halftone::format_test
