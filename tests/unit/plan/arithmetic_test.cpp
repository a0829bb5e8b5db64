// Whole-number arithmetic of files of data.

#include "core/plan/arithmetic.hpp"

#include <gtest/gtest.h>

namespace halftone {
namespace {

std::optional<int64_t> value(std::string_view text) {
    return arithmetic::evaluate(text, [](std::string_view name) -> std::optional<int64_t> {
        if (name == "N") return 64;
        if (name == "K") return 100;
        return std::nullopt;
    });
}

std::string problem(std::string_view text) {
    return arithmetic::problem_of(text, [](std::string_view) {});
}

TEST(Arithmetic, ComputesAsCDoes) {
    EXPECT_EQ(value("1 + 2 * 3 - 4 / 3"), 6);
    EXPECT_EQ(value("(1 + 2) * 3"), 9);
    EXPECT_EQ(value("10 - 3 - 2"), 5);
    EXPECT_EQ(value("K % 16 == 4 && N >= 64"), 1);
    EXPECT_EQ(value("K != 100 || N < 64"), 0);
    EXPECT_EQ(value("!(N == 64)"), 0);
    EXPECT_EQ(value("!N != 1"), 1);
    EXPECT_EQ(value("2*N<=K"), 0);
    EXPECT_EQ(value("up(K, 16) * up(N, 128)"), 112 * 128);
    EXPECT_EQ(value("power(4, 256)"), 1);
    EXPECT_EQ(value("power(4, 8)"), 0);
    EXPECT_EQ(value("power(4, 1)"), 0);
    EXPECT_EQ(value("power(4, 0)"), 0);
}

TEST(Arithmetic, WhatCannotBeComputedIsNothingUnlessItDoesNotMatter) {
    EXPECT_EQ(value("G"), std::nullopt);
    EXPECT_EQ(value("K % 0"), std::nullopt);
    EXPECT_EQ(value("9000000000000000000 * K"), std::nullopt);
    EXPECT_EQ(value("N == 64 || G == 1"), 1);
    EXPECT_EQ(value("N == 63 && K % 0"), 0);
    EXPECT_EQ(value("N == 63 || G == 1"), std::nullopt);
}

TEST(Arithmetic, MistakesAreTold) {
    EXPECT_EQ(problem("N + "), "it ends too early");
    EXPECT_EQ(problem("(N"), "')' is missing");
    EXPECT_EQ(problem("N N"), "'N' is left over");
    EXPECT_EQ(problem("3K"), "'3K' is no number");
    EXPECT_EQ(problem("down(N, 2)"), "there is no function 'down'");
    EXPECT_EQ(problem(std::string(1000, '(')), "it is nested too deeply");
    EXPECT_EQ(problem("up(N, 2) == K"), "");
}

}  // namespace
}  // namespace halftone
