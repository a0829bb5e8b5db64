// scale = "mse": scales of the least squared error.

#include "tests/support/format_properties.hpp"

namespace halftone::format_test {
namespace {

class Fp8Search : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
  protected:
    Mode mode() const {
        const std::string scaling = std::get<1>(GetParam());
        const uint64_t step = scaling.starts_with("block") ? 3 : 1;
        return {"",
                {{"element", std::get<0>(GetParam())},
                 {"scaling", scaling},
                 {"block_size", "3"},
                 {"scale", "mse"}},
                {9, 700, step, step}};
    }
};
INSTANTIATE_TEST_SUITE_P(EveryMode, Fp8Search,
                         ::testing::Combine(::testing::Values("e4m3fn", "e5m2"),
                                            ::testing::Values("tensor", "row", "block", "block3d")),
                         [](const auto& param) {
                             return std::string(std::get<0>(param.param)) + "_" + std::get<1>(param.param);
                         });

TEST_P(Fp8Search, IsNeverWorseThanTheLargestMagnitude) {
    expect_searched_scales_to_be_better(mode(), 1);
}
TEST_P(Fp8Search, DoesNotDependOnTheBands) {
    expect_bands_do_not_matter(mode(), 2);
}
TEST_P(Fp8Search, GivesTheSameBitsAtEveryCpuLevel) {
    expect_equal_bits_at_every_cpu_level(mode(), 3);
}
TEST_P(Fp8Search, DoesNotDependOnStrides) {
    expect_strides_do_not_matter(mode(), 4);
}
TEST_P(Fp8Search, MakesAConsistentGrid) {
    expect_a_consistent_grid(mode(), 5);
    expect_the_table_rounds_alike(mode(), 6);
    expect_stored_bytes_to_load(mode(), 7);
}

TEST_P(Fp8Search, LeavesTheScaleWhereNothingIsGained) {
    // Powers of two are met exactly by the scale of the largest; and so is a matrix of zeros.
    for (const float x : {0.0f, 1.0f}) {
        const Matrix matrix{3, 3, {x, x / 2, -x, x / 4, x, x, x / 8, -x, x}};
        Choices absmax = mode().choices;
        absmax["scale"] = "absmax";
        const Plan plain(mode().source(matrix), absmax), searching(mode().source(matrix), mode().choices);
        EXPECT_EQ(plain.companions(plain.fit(matrix)), searching.companions(searching.fit(matrix)));
        // Without any weight all scales are as good.
        const std::vector<float> none(3, 0.0f);
        EXPECT_EQ(plain.companions(plain.fit(matrix)), searching.companions(searching.fit(matrix, {}, none)));
    }
}

}  // namespace
}  // namespace halftone::format_test
