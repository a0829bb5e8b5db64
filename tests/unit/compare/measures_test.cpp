#include "core/compare/measures.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

#include "core/compare/codes.hpp"

namespace halftone {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

Measures measures(const std::vector<float>& before, const std::vector<float>& after, uint64_t cols) {
    ErrorSums sums;
    sums.add(before, after, 0);
    return measures_of(sums, cols);
}

TEST(MeasuresOfErrors, AreThoseOfTheDefinitions) {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal;
    for (int round = 0; round < 50; ++round) {
        const uint64_t cols = random() % 20 + 1, n = cols * (random() % 20 + 1);
        std::vector<float> before(n), after(n);
        double error = 0, power = 0, other = 0, product = 0, peak = 0, largest = 0;
        uint64_t at = 0;
        for (uint64_t i = 0; i < n; ++i) {
            before[i] = normal(random);
            after[i] = before[i] + 0.01F * normal(random);
            const double w = before[i], q = after[i];
            error += (q - w) * (q - w);
            power += w * w;
            other += q * q;
            product += w * q;
            peak = std::max(peak, std::fabs(w));
            if (std::fabs(q - w) > largest) {
                largest = std::fabs(q - w);
                at = i;
            }
        }
        const Measures m = measures(before, after, cols);
        EXPECT_NEAR(m.relative_squared_error, error / power, 1e-12 * error / power);
        EXPECT_NEAR(m.sqnr, 10 * std::log10(power / error), 1e-9);
        EXPECT_NEAR(m.psnr, 10 * std::log10(peak * peak * static_cast<double>(n) / error), 1e-9);
        EXPECT_NEAR(m.cosine, product / std::sqrt(power * other), 1e-12);
        EXPECT_EQ(m.largest_error, largest);
        EXPECT_EQ(m.row * cols + m.col, at);
        EXPECT_EQ(m.elements, n);
    }
}

TEST(MeasuresOfErrors, OfPartsAddUpToThoseOfTheWhole) {
    std::vector<float> before(1000), after(1000);
    std::mt19937 random(2);
    for (size_t i = 0; i < before.size(); ++i) {
        before[i] = static_cast<float>(random() % 100) - 50;
        after[i] = before[i] + static_cast<float>(random() % 3) - 1;
    }
    ErrorSums parts;
    for (size_t first = 0; first < before.size(); first += 170) {
        const size_t n = std::min<size_t>(170, before.size() - first);
        ErrorSums part;
        part.add(std::span(before).subspan(first, n), std::span(after).subspan(first, n), first);
        parts.add(part);
    }
    const Measures whole = measures(before, after, 10), summed = measures_of(parts, 10);
    EXPECT_EQ(summed.relative_squared_error, whole.relative_squared_error);  // whole numbers: exact
    EXPECT_EQ(summed.cosine, whole.cosine);
    EXPECT_EQ(summed.row, whole.row);
    EXPECT_EQ(summed.col, whole.col);
    EXPECT_EQ(summed.elements, 1000u);
}

TEST(MeasuresOfErrors, OfExtremes) {
    const Measures same = measures({1, -2, 0}, {1, -2, 0}, 3);
    EXPECT_EQ(same.relative_squared_error, 0);
    EXPECT_EQ(same.sqnr, infinite);
    EXPECT_EQ(same.cosine, 1);
    const Measures zeros = measures({0, 0}, {0, 0}, 2);
    EXPECT_EQ(zeros.relative_squared_error, 0);
    EXPECT_EQ(zeros.cosine, 1);
    const Measures from_nothing = measures({0, 0}, {0, 1}, 2);
    EXPECT_EQ(from_nothing.relative_squared_error, infinite);
    EXPECT_EQ(from_nothing.sqnr, -infinite);
    EXPECT_EQ(from_nothing.cosine, 0);
    EXPECT_EQ(measures({}, {}, 0).relative_squared_error, 0);
}

TEST(MeasuresOfErrors, OfWhatIsNoNumberAreTheWorst) {
    const float inf = std::numeric_limits<float>::infinity();
    const Measures broken = measures({1, 2, 3}, {1, not_a_number, inf}, 3);
    EXPECT_EQ(broken.nonfinite, 2u);
    EXPECT_EQ(broken.relative_squared_error, infinite);
    EXPECT_EQ(broken.sqnr, -infinite);
    // The same on both sides is no error.
    const Measures kept = measures({1, not_a_number, inf}, {1, not_a_number, inf}, 3);
    EXPECT_EQ(kept.nonfinite, 0u);
    EXPECT_EQ(kept.relative_squared_error, 0);
}

TEST(CodeCounting, EntropyIsInBits) {
    CodeCounts counts;
    EXPECT_FALSE(counts.entropy());
    EXPECT_FALSE(counts.saturated_share());
    counts.knows_codes = counts.knows_ends = true;
    counts.of_code = {4, 0, 4};
    counts.elements = 8;
    counts.saturated = 2;
    CodeCounts more = counts;
    more.of_code = {0, 0, 0, 8};
    EXPECT_EQ(counts.entropy(), 1);
    EXPECT_EQ(more.entropy(), 0);
    counts.add(more);
    EXPECT_EQ(counts.entropy(), 1.5);
    EXPECT_EQ(counts.saturated_share(), 0.25);
}

}  // namespace
}  // namespace halftone
