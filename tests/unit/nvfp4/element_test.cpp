// The element E2M1, its two codes to a byte, and the tiled layout of its scales.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include <halftone/toolbox/blocked_scales.hpp>
#include <halftone/toolbox/float4.hpp>
#include <halftone/toolbox/scalar_levels.hpp>

namespace halftone::nvfp4_test {
namespace {

using toolbox::E2m1;

const float magnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

TEST(E2m1, DecodesItsSixteenCodes) {
    for (uint8_t code = 0; code < 16; ++code) {
        const float value = E2m1::decode(code);
        EXPECT_EQ(magnitudes[code & 7], std::fabs(value)) << int{code};
        EXPECT_EQ(code >= 8, std::signbit(value)) << int{code};
        EXPECT_EQ(code, E2m1::encode(value));
    }
}

TEST(E2m1, RoundsTiesToEvenCodes) {
    const std::pair<float, uint8_t> ties[] = {{0.25f, 0}, {0.75f, 2}, {1.25f, 2}, {1.75f, 4},
                                              {2.5f, 4},  {3.5f, 6},  {5.0f, 6}};
    for (const auto& [tie, code] : ties) {
        EXPECT_EQ(code, E2m1::encode(tie)) << tie;
        EXPECT_EQ(code + 8, E2m1::encode(-tie)) << tie;
        EXPECT_EQ(code % 2 == 0 ? code : code - 1, code);
        const uint8_t low = E2m1::encode(std::nextafter(tie, 0.0f)),
                      high = E2m1::encode(std::nextafter(tie, 9.0f));
        EXPECT_EQ(low + 1, high) << tie;
    }
    EXPECT_EQ(7, E2m1::encode(1e30f));
    EXPECT_EQ(15, E2m1::encode(-INFINITY));
    EXPECT_EQ(0, E2m1::encode(1e-45f));
    EXPECT_EQ(8, E2m1::encode(-1e-45f));
}

TEST(E2m1, GoesToTheNearestOfAllCodes) {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<float> any(-8, 8);
    for (int round = 0; round < 20000; ++round) {
        const float t = any(random), found = E2m1::decode(E2m1::encode(t));
        for (uint8_t code = 0; code < 16; ++code)
            ASSERT_LE(std::fabs(found - t), std::fabs(E2m1::decode(code) - t)) << t;
    }
}

template <class Element>
void expect_short_way_agrees() {
    for (uint64_t bits = 0; bits < 0x100000000; bits += 9973) {
        const float t = std::bit_cast<float>(static_cast<uint32_t>(bits));
        if (std::isnan(t)) continue;
        ASSERT_EQ(std::bit_cast<uint32_t>(Element::decode(Element::encode(t))),
                  std::bit_cast<uint32_t>(Element::rounded(t)))
            << t;
    }
    for (const float tie : {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f, 0.0f, 464.0f, 0x1p-10f})
        ASSERT_EQ(Element::decode(Element::encode(tie)), Element::rounded(tie)) << tie;
}

TEST(Rounded, IsWhatTheCodeStandsFor) {
    expect_short_way_agrees<E2m1>();
    expect_short_way_agrees<toolbox::E4m3fn>();
    expect_short_way_agrees<toolbox::E5m2>();
}

TEST(E2m1, HasFifteenLevelsInOrder) {
    const auto& levels = toolbox::scalar_levels<E2m1>();
    ASSERT_EQ(15u, levels.level.size());
    EXPECT_TRUE(std::ranges::is_sorted(levels.level));
    EXPECT_EQ(-6, levels.level.front());
    EXPECT_EQ(6, levels.level.back());
    EXPECT_EQ(0, levels.zero);
}

TEST(TwoCodes, ShareAByteWithTheFirstOneHigh) {
    EXPECT_EQ(0xA3, toolbox::FirstHigh::pack(0xA, 3));
    EXPECT_EQ(0xA, toolbox::FirstHigh::first(0xA3));
    EXPECT_EQ(3, toolbox::FirstHigh::second(0xA3));
}

TEST(BlockedScales, LieWhereTensorCoresLookForThem) {
    const toolbox::BlockedScales scales{200, 9};
    EXPECT_EQ(256u, scales.padded_rows());
    EXPECT_EQ(12u, scales.padded_cols());
    const struct {
        uint64_t row, col, offset;
    } places[] = {{0, 1, 1},     {1, 0, 16},     {32, 0, 4},    {33, 5, 533},
                  {127, 3, 511}, {128, 0, 1536}, {199, 8, 2680}};
    for (const auto& place : places)
        EXPECT_EQ(place.offset, scales.offset(place.row, place.col)) << place.row << ", " << place.col;
}

TEST(BlockedScales, ComeBackAsTheyWere) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 30; ++round) {
        const toolbox::BlockedScales scales{1 + random() % 300, 1 + random() % 20};
        std::vector<uint8_t> plain(scales.rows * scales.cols), back(plain.size());
        for (uint8_t& one : plain)
            one = static_cast<uint8_t>(1 + random() % 255);
        std::vector<uint8_t> blocked(scales.bytes(), 0xEE);
        scales.write(plain.data(), blocked.data());
        scales.read(blocked.data(), back.data());
        EXPECT_EQ(plain, back);
        EXPECT_EQ(static_cast<std::ptrdiff_t>(blocked.size() - plain.size()), std::ranges::count(blocked, 0))
            << "padding is zeros";
    }
}

}  // namespace
}  // namespace halftone::nvfp4_test
