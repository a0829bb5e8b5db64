#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

#include "core/cli/synth/draw.hpp"
#include "core/cli/synth/mixing.hpp"
#include "core/cli/synth/portable_math.hpp"

namespace halftone::synth {
namespace {

TEST(SynthMath, AgreesWithTheCLibrary) {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> wide(-300, 300);
    for (int i = 0; i < 10'000; ++i) {
        const double x = wide(random);
        EXPECT_NEAR(synth::exp2(x) / std::exp2(x), 1, 1e-14) << x;
        EXPECT_NEAR(synth::log2(std::exp2(x)), x, 1e-13 * std::abs(x) + 1e-15) << x;
        EXPECT_NEAR(cos_pi(x), std::cos(x * M_PI), 1e-12) << x;
    }
    EXPECT_EQ(synth::exp2(0), 1);
    EXPECT_EQ(synth::log2(1), 0);
    EXPECT_NEAR(cos_pi(0.5), 0, 1e-15);
    EXPECT_NEAR(power(10, -0.7), std::pow(10, -0.7), 1e-15);
}

TEST(SynthMath, QuantilesInvertTheNormalDistribution) {
    for (double p = 1e-6; p < 1; p += 1e-3)
        EXPECT_NEAR(std::erfc(-normal_quantile(p) / std::sqrt(2.0)) / 2, p, 1e-8) << p;
    EXPECT_NEAR(normal_quantile(0.975), 1.959963985, 1e-8);
    EXPECT_NEAR(normal_quantile(0.001), -3.090232306, 1e-8);
}

TEST(SynthDraw, DependsOnSeedTensorAndPurpose) {
    const auto first = [](uint64_t seed, const char* tensor, const char* purpose) {
        return Draw(seed, tensor, purpose).word();
    };
    EXPECT_EQ(first(1, "a", "b"), first(1, "a", "b"));
    EXPECT_NE(first(1, "a", "b"), first(2, "a", "b"));
    EXPECT_NE(first(1, "a", "b"), first(1, "b", "b"));
    EXPECT_NE(first(1, "a", "b"), first(1, "a", "c"));
    EXPECT_NE(first(1, "ab", "c"), first(1, "a", "bc"));
}

TEST(SynthDraw, PermutationsHoldEveryNumberOnce) {
    for (const uint32_t size : {1U, 2U, 97U, 3072U}) {
        std::vector<uint32_t> order = Draw(5, "t", "p").permutation(size);
        EXPECT_TRUE(size < 90 || !std::ranges::is_sorted(order));
        std::ranges::sort(order);
        for (uint32_t i = 0; i < size; ++i)
            ASSERT_EQ(order[i], i);
    }
}

TEST(SynthDraw, NumbersFillTheirRangeEvenly) {
    Draw draw(3, "t", "p");
    constexpr int count = 40'000;
    double sum = 0, squares = 0;
    for (int i = 0; i < count; ++i) {
        const double z = draw.normal();
        sum += z;
        squares += z * z;
    }
    EXPECT_NEAR(sum / count, 0, 0.02);
    EXPECT_NEAR(squares / count, 1, 0.03);
    for (int i = 0; i < 1000; ++i) {
        const double x = draw.between_logs(0.001, 0.01);
        EXPECT_GE(x, 0.001);
        EXPECT_LE(x, 0.01);
        EXPECT_LT(draw.below(7), 7U);
    }
}

TEST(SynthMixing, FindsTheNearestSizeAndTheRealOnesExactly) {
    for (const uint32_t real :
         {64U, 128U, 256U, 320U, 768U, 3072U, 4096U, 9216U, 10240U, 12288U, 15360U, 18432U, 21504U})
        EXPECT_EQ(mix_size_at_least(real).size(), real);
    EXPECT_EQ(mix_size_at_least(32128).size(), 32768U);
    for (uint32_t wanted = 1; wanted < 3000; ++wanted) {
        EXPECT_GE(mix_size_at_least(wanted).size(), wanted);
        EXPECT_LE(mix_size_at_least(wanted).size(), wanted + wanted / 8 + 1);
    }
}

TEST(SynthMixing, RowsAreOrthonormalButForTheRootOfTheSize) {
    for (const uint32_t size : {1U, 2U, 3U, 8U, 12U, 60U, 64U, 144U, 336U}) {
        const Mixing mixing(mix_size_at_least(size));
        ASSERT_EQ(mixing.size(), size);
        for (uint32_t a = 0; a < size; ++a)
            for (uint32_t b = 0; b <= a; ++b) {
                double product = 0;
                for (uint32_t i = 0; i < size; ++i)
                    product += static_cast<double>(mixing.element(a, i)) * mixing.element(b, i);
                ASSERT_NEAR(product / size, a == b ? 1 : 0, 1e-5) << size << ": " << a << ", " << b;
            }
    }
}

TEST(SynthMixing, ApplyingIsMultiplyingByTheElements) {
    std::mt19937_64 random(2);
    std::normal_distribution<float> normal;
    for (const uint32_t size : {1U, 2U, 4U, 5U, 24U, 128U, 240U, 1024U}) {
        const Mixing mixing(mix_size_at_least(size));
        std::vector<float> values(size);
        for (float& x : values)
            x = normal(random);
        std::vector<float> fast = values;
        mixing.apply(fast);
        for (uint32_t row = 0; row < size; ++row) {
            double expected = 0;
            for (uint32_t i = 0; i < size; ++i)
                expected += static_cast<double>(mixing.element(row, i)) * values[i];
            ASSERT_NEAR(fast[row], expected, 1e-4 * std::sqrt(size)) << size;
        }
    }
}

TEST(SynthMixing, CosineRotationsAreOrthonormal) {
    for (const uint32_t size : {1U, 2U, 5U, 37U}) {
        const std::vector<double> matrix = cosine_rotation(size);
        for (uint32_t a = 0; a < size; ++a)
            for (uint32_t b = 0; b < size; ++b) {
                double product = 0;
                for (uint32_t i = 0; i < size; ++i)
                    product += matrix[a * size + i] * matrix[b * size + i];
                EXPECT_NEAR(product, a == b ? 1 : 0, 1e-12);
            }
    }
}

}  // namespace
}  // namespace halftone::synth
