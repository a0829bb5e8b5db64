// The element types against an independent definition of them, and against golden vectors.

#include <algorithm>
#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/scalar_levels.hpp>

#include "core/base/cpu.hpp"
#include "tests/support/format_plan.hpp"
#include "tests/unit/fp8/golden.hpp"

namespace halftone::format_test {
namespace {

using toolbox::E4m3fn;
using toolbox::E5m2;

// From the definition: sign, exponent and mantissa fields.
double defined_value(const std::string& element, int code) {
    const int mantissa_bits = element == "e4m3fn" ? 3 : 2, bias = element == "e4m3fn" ? 7 : 15;
    const int mantissa = code & ((1 << mantissa_bits) - 1), exponent = (code & 0x7F) >> mantissa_bits;
    double size = exponent ? std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits)
                           : std::ldexp(mantissa, 1 - bias - mantissa_bits);
    if (element == "e4m3fn" && (code & 0x7F) == 0x7F) size = NAN;
    if (element == "e5m2" && exponent == 31) size = mantissa ? NAN : INFINITY;
    return code & 0x80 ? -size : size;
}

float decoded(const std::string& element, int code) {
    return element == "e4m3fn" ? E4m3fn::decode(static_cast<uint8_t>(code))
                               : E5m2::decode(static_cast<uint8_t>(code));
}

uint8_t encoded(const std::string& element, float t) {
    return element == "e4m3fn" ? E4m3fn::encode(t) : E5m2::encode(t);
}

// The nearest finite value by search, beyond the ends the end; of two equally near ones that with the even
// code.
uint8_t found_code(const std::string& element, float t) {
    const int most = element == "e4m3fn" ? 0x7E : 0x7B;
    const double size = std::min(std::fabs(static_cast<double>(t)), defined_value(element, most));
    int best = 0;
    for (int code = 1; code <= most; ++code) {
        const double distance = std::fabs(defined_value(element, code) - size);
        const double least = std::fabs(defined_value(element, best) - size);
        if (distance < least || (distance == least && code % 2 == 0)) best = code;
    }
    return static_cast<uint8_t>(std::signbit(t) ? best | 0x80 : best);
}

class Element : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Float8, Element, ::testing::Values("e4m3fn", "e5m2"),
                         [](const auto& param) { return std::string(param.param); });

TEST_P(Element, EveryCodeHasItsDefinedValue) {
    for (int code = 0; code < 256; ++code) {
        const double expected = defined_value(GetParam(), code);
        const float actual = decoded(GetParam(), code);
        if (std::isnan(expected)) {
            EXPECT_TRUE(std::isnan(actual)) << code;
        } else {
            EXPECT_EQ(std::bit_cast<uint32_t>(static_cast<float>(expected)), std::bit_cast<uint32_t>(actual))
                << code;
        }
    }
}

TEST_P(Element, EveryBf16AndF16GoesToTheNearestCodeAndTiesToTheEvenOne) {
    for (const auto& inputs : {every_bf16(), every_f16()})
        for (const float t : inputs)
            if (!std::isnan(t)) {
                ASSERT_EQ(found_code(GetParam(), t), encoded(GetParam(), t)) << std::hexfloat << t;
            }
}

// Every tie, and the floats on both sides of it: where one bit decides.
TEST_P(Element, DecidesRightNextToEveryTie) {
    const int most = std::string(GetParam()) == "e4m3fn" ? 0x7E : 0x7B;
    for (int code = 0; code < most; ++code) {
        const auto tie =
            static_cast<float>((defined_value(GetParam(), code) + defined_value(GetParam(), code + 1)) / 2);
        for (const float t : {std::nextafterf(tie, 0.0f), tie, std::nextafterf(tie, 1e9f)})
            for (const float signed_t : {t, -t})
                ASSERT_EQ(found_code(GetParam(), signed_t), encoded(GetParam(), signed_t))
                    << std::hexfloat << t;
    }
}

TEST_P(Element, ZeroKeepsItsSignAndSoDoesWhatVanishes) {
    const float least = std::numeric_limits<float>::denorm_min();
    EXPECT_EQ(0x00, encoded(GetParam(), 0.0f));
    EXPECT_EQ(0x80, encoded(GetParam(), -0.0f));
    EXPECT_EQ(0x00, encoded(GetParam(), least));
    EXPECT_EQ(0x80, encoded(GetParam(), -least));
}

TEST_P(Element, EveryBf16AndF16AgreesWithTheGoldenCastsAtEveryCpuLevel) {
    int compared = 0;
    for (const GoldenCast& golden : golden_casts()) {
        if (golden.element != GetParam()) continue;
        ++compared;
        ASSERT_EQ(65536u, golden.codes.size());
        Matrix inputs{256, 256, golden.inputs == "bf16" ? every_bf16() : every_f16()};
        for (float& x : inputs.values)
            if (std::isnan(x)) x = 0;
        for (size_t i = 0; i < inputs.values.size(); ++i)
            ASSERT_EQ(golden.codes[i], encoded(GetParam(), inputs.values[i]))
                << std::hexfloat << inputs.values[i];
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(source_of(256, 256), {{"element", GetParam()}});
            const Grid grid = plan.load({{}, bytes_of(std::vector{1.0f})});
            EXPECT_EQ(golden.codes, plan.encode(grid, inputs)) << golden.inputs << " " << cpu::name(cpu);
        }
    }
    EXPECT_EQ(2, compared);
}

TEST_P(Element, AWalkThroughAllFloatsAgreesWithTheGoldenHash) {
    int compared = 0;
    for (const GoldenHash& golden : golden_hashes()) {
        if (golden.element != GetParam()) continue;
        ++compared;
        uint64_t hash = 0xCBF29CE484222325;
        for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += golden.stride) {
            const auto t = std::bit_cast<float>(static_cast<uint32_t>(bits));
            hash = (hash ^ encoded(GetParam(), std::isnan(t) ? 0.0f : t)) * 0x100000001B3;
        }
        EXPECT_EQ(golden.hash, hash);
    }
    EXPECT_EQ(1, compared);
}

template <class Type>
void neighbours_are_next_in_value() {
    const auto& levels = toolbox::scalar_levels<Type>().level;
    for (size_t i = 0; i < levels.size(); ++i) {
        const uint8_t code = Type::encode(levels[i]);
        EXPECT_EQ(levels[i ? i - 1 : 0], Type::decode(Type::below(code)));
        EXPECT_EQ(levels[std::min(i + 1, levels.size() - 1)], Type::decode(Type::above(code)));
    }
    // From the negative zero too.
    EXPECT_EQ(Type::below(0x00), Type::below(0x80));
    EXPECT_EQ(Type::above(0x00), Type::above(0x80));
}

TEST(Float8, NeighboursAreNextInValue) {
    neighbours_are_next_in_value<E4m3fn>();
    neighbours_are_next_in_value<E5m2>();
}

// All finite values once: 256 codes without one of two zeros and without NaN and infinity.
TEST(Float8, LevelsAreAllFiniteValuesInOrder) {
    EXPECT_EQ(253u, toolbox::scalar_levels<E4m3fn>().level.size());
    EXPECT_EQ(247u, toolbox::scalar_levels<E5m2>().level.size());
    for (const auto* levels : {&toolbox::scalar_levels<E4m3fn>(), &toolbox::scalar_levels<E5m2>()})
        for (size_t i = 0; i + 1 < levels->level.size(); ++i)
            EXPECT_LT(levels->level[i], levels->level[i + 1]);
}

template <class Type>
void thresholds_are_the_last_floats_that_stay_low() {
    const auto& levels = toolbox::scalar_levels<Type>();
    ASSERT_EQ(levels.level.size(), levels.upper.size());
    EXPECT_EQ(INFINITY, levels.upper.back());
    for (size_t i = 0; i + 1 < levels.level.size(); ++i) {
        EXPECT_EQ(levels.level[i], Type::decode(Type::encode(levels.upper[i])));
        EXPECT_EQ(levels.level[i + 1],
                  Type::decode(Type::encode(std::nextafterf(levels.upper[i], INFINITY))));
    }
}

TEST(Float8, ThresholdsAreTheLastFloatsThatStayLow) {
    thresholds_are_the_last_floats_that_stay_low<E4m3fn>();
    thresholds_are_the_last_floats_that_stay_low<E5m2>();
}

static_assert(E4m3fn::decode(E4m3fn::encode(1e9f)) == E4m3fn::most &&
              E5m2::decode(E5m2::encode(1e9f)) == E5m2::most);
static_assert(E4m3fn::encode(1.0f) == 0x38 && E5m2::encode(1.0f) == 0x3C, "usable in constant expressions");

}  // namespace
}  // namespace halftone::format_test
