// What every format of scaled elements promises. One file of its tests includes this and names the modes that
// it is to be tried in:
//
//     INSTANTIATE_TEST_SUITE_P(Every, FormatPromises, ::testing::Values(Mode{...}, ...), name_of_mode);
#pragma once

#include "tests/support/format_properties.hpp"

namespace halftone::format_test {

inline std::string name_of_mode(const ::testing::TestParamInfo<Mode>& info) {
    return info.param.name;
}

class FormatPromises : public ::testing::TestWithParam<Mode> {};

TEST_P(FormatPromises, BandsDoNotMatter) {
    expect_bands_do_not_matter(GetParam(), 41);
}
TEST_P(FormatPromises, EveryCpuLevelGivesTheSameBits) {
    expect_equal_bits_at_every_cpu_level(GetParam(), 42);
}
TEST_P(FormatPromises, StridesDoNotMatter) {
    expect_strides_do_not_matter(GetParam(), 43);
}
TEST_P(FormatPromises, TheGridIsConsistent) {
    expect_a_consistent_grid(GetParam(), 44);
}
TEST_P(FormatPromises, TheTableRoundsAlike) {
    expect_the_table_rounds_alike(GetParam(), 45);
}
TEST_P(FormatPromises, WhatIsStoredIsReadBackBitForBit) {
    expect_stored_bytes_to_load(GetParam(), 46);
}
TEST_P(FormatPromises, CodesBeforeTheSealAreThoseAfterIt) {
    if (!GetParam().seal_keeps_scales)
        GTEST_SKIP() << "the sealed grid has the scales that are read back, and codes are made before";
    expect_codes_before_the_seal(GetParam(), 47);
}
TEST_P(FormatPromises, ScalesAreZeroOrNormalNumbers) {
    expect_scales_that_are_zero_or_normal(GetParam(), 48);
}

}  // namespace halftone::format_test
