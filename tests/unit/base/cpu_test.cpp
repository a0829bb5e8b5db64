#include "core/base/cpu.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>

#include "core/base/error.hpp"

namespace halftone::cpu {
namespace {

Error refusal(const std::string& forced) {
    try {
        level_for(forced);
    } catch (const Error& error) {
        return error;
    }
    ADD_FAILURE() << forced << " was taken";
    return {Exit::failed, "", ""};
}

TEST(CpuLevel, AlwaysIncludesTheBaselineAndRises) {
    const std::vector<ht_cpu> levels = available();
    ASSERT_FALSE(levels.empty());
    EXPECT_EQ(levels.front(), static_cast<ht_cpu>(HT_CPU_BASELINE));
    EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
}

TEST(CpuLevel, IsTheHighestUnlessForced) {
    EXPECT_EQ(level_for(std::nullopt), available().back());
    EXPECT_EQ(level_for(""), available().back());
}

TEST(CpuLevel, ObeysEveryLevelThatTheMachineHas) {
    for (const ht_cpu level : available())
        EXPECT_EQ(level_for(name(level)), level);
}

TEST(CpuLevel, RefusesAnUnknownName) {
    const Error error = refusal("avx3");
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_EQ(error.where(), "HALFTONE_CPU");
    EXPECT_NE(error.problem().find("'avx3'"), std::string::npos);
    EXPECT_NE(error.advice().find("baseline"), std::string::npos);
}

TEST(CpuLevel, RefusesWhatTheMachineLacksInsteadOfTakingLess) {
    const std::vector<ht_cpu> levels = available();
    for (const ht_cpu level : {HT_CPU_AVX2, HT_CPU_AVX512}) {
        if (std::find(levels.begin(), levels.end(), level) != levels.end()) continue;
        const Error error = refusal(name(level));
        EXPECT_EQ(error.code(), Exit::usage);
        EXPECT_NE(error.problem().find("does not have"), std::string::npos);
        EXPECT_NE(error.advice().find(name(levels.back())), std::string::npos);
    }
}

TEST(CpuLevel, StaysTheSameForTheLifeOfTheProcess) {
    const ht_cpu first = level();
    EXPECT_EQ(level(), first);
    const std::vector<ht_cpu> levels = available();
    EXPECT_NE(std::find(levels.begin(), levels.end(), first), levels.end());
}

}  // namespace
}  // namespace halftone::cpu
