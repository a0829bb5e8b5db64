// Plain numbers of other types: golden bytes, what holds for every type, what is refused and recognized.

#include <cfloat>
#include <cmath>

#include <halftone/toolbox/float16.hpp>

#include "tests/support/format_properties.hpp"
#include "tests/support/golden_words.hpp"
#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

const char* const types[] = {"bf16", "f16", "f32", "e4m3fn", "e5m2"};

uint64_t bytes_of_type(const std::string& to) {
    return to == "f32" ? 4 : to.ends_with("16") ? 2 : 1;
}

TEST(Cast, StoresAllGoldenMatricesAtEveryCpuLevel) {
    GoldenWords golden(std::string(HALFTONE_GOLDEN) + "/cast_matrices.txt");
    int seen = 0;
    for (; golden.entry("matrix"); ++seen) {
        const std::string name = golden.word(), to = golden.word();
        Matrix matrix;
        matrix.rows = golden.count();
        matrix.cols = golden.count();
        matrix.values = golden.floats(matrix.rows * matrix.cols);
        const Bytes codes = golden.bytes(matrix.values.size() * bytes_of_type(to));
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(source_of(matrix.rows, matrix.cols), {{"to", to}});
            EXPECT_EQ(codes, plan.encode(plan.fit(matrix), matrix))
                << name << " to " << to << ", " << cpu::name(cpu);
        }
    }
    EXPECT_EQ(seen, 50);
}

class CastTo : public ::testing::TestWithParam<const char*> {
  protected:
    Mode mode() const { return {"", {{"to", GetParam()}}, {9, 700}}; }
};
INSTANTIATE_TEST_SUITE_P(EveryType, CastTo, ::testing::ValuesIn(types),
                         [](const auto& param) { return std::string(param.param); });

TEST_P(CastTo, DoesNotDependOnBands) {
    expect_bands_do_not_matter(mode(), 1);
}
TEST_P(CastTo, GivesTheSameBitsAtEveryCpuLevel) {
    expect_equal_bits_at_every_cpu_level(mode(), 2);
}
TEST_P(CastTo, DoesNotDependOnStrides) {
    expect_strides_do_not_matter(mode(), 3);
}
TEST_P(CastTo, MakesAConsistentGrid) {
    expect_a_consistent_grid(mode(), 4);
}
TEST_P(CastTo, IsReadBackBitForBit) {
    expect_stored_bytes_to_load(mode(), 5);
}
TEST_P(CastTo, EncodesTheSameBeforeTheSeal) {
    expect_codes_before_the_seal(mode(), 6);
}

TEST_P(CastTo, WhatIsTooLargeBecomesTheLargest) {
    const Matrix matrix{1, 2, {FLT_MAX, -FLT_MAX}};
    const Plan plan(source_of(1, 2), {{"to", GetParam()}});
    const std::map<std::string, float> most = {
        {"bf16", 0x1.FEp127f}, {"f16", 65504}, {"f32", FLT_MAX}, {"e4m3fn", 448}, {"e5m2", 57344}};
    const float largest = most.at(GetParam());
    EXPECT_EQ((std::vector<float>{largest, -largest}), plan.snap(plan.fit(matrix), matrix).values);
}

template <class Element>
void expect_codes_and_values_to_agree() {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
        const auto code = static_cast<uint16_t>(bits);
        const float value = Element::decode(code);
        if (!std::isfinite(value)) continue;
        ASSERT_EQ(code, Element::encode(value));
        const float more = Element::decode(Element::above(code)),
                    less = Element::decode(Element::below(code));
        ASSERT_TRUE(std::isfinite(more) && std::isfinite(less));
        ASSERT_TRUE(more > value || more == Element::decode(Element::encode(FLT_MAX)));
        ASSERT_TRUE(less < value || less == Element::decode(Element::encode(-FLT_MAX)));
        if (more > value) {
            ASSERT_EQ(code == 0x8000 ? 0 : code, Element::below(Element::above(code)));
        }
    }
}

TEST(Cast, EveryCodeOf16BitsIsItsValuesAndHasNeighbours) {
    expect_codes_and_values_to_agree<toolbox::Bf16>();
    expect_codes_and_values_to_agree<toolbox::F16>();
}

TEST(CastPlan, StoresAPlainTensorAndSaysNothing) {
    const Plan plan(source_of(6, 10), {{"to", "f16"}});
    ASSERT_EQ(1u, plan.facts().n_stored);
    EXPECT_EQ(HT_DTYPE_F16, plan.stored(".weight").dtype);
    EXPECT_EQ((std::vector<uint64_t>{6, 10}), plan.shape(".weight"));
    EXPECT_EQ("{}", plan.description());
    EXPECT_EQ(HT_INPUT_SCALE_NEVER, plan.facts().input_scale);
}

TEST(CastPlan, TakesTensorsOfAnyRank) {
    ht_source conv = source_of(8, 36);
    conv.rank = 4;
    const uint64_t shape[] = {8, 4, 3, 3};
    std::copy(shape, shape + 4, conv.shape);
    const Plan plan(conv);
    EXPECT_TRUE(plan.facts().flags & HT_FACT_ANY_RANK);
    EXPECT_EQ((std::vector<uint64_t>{8, 4, 3, 3}), plan.shape(".weight"));
}

// The host lays stacks out.
TEST(CastPlan, OfAStackOfExpertsIsOfOneMatrix) {
    ht_source stack = source_of(8, 36);
    stack.rank = 3;
    stack.experts = 5;
    const uint64_t shape[] = {5, 8, 36};
    std::copy(shape, shape + 3, stack.shape);
    EXPECT_EQ((std::vector<uint64_t>{8, 36}), Plan(stack).shape(".weight"));
}

TEST(CastPlan, RefusesWithTheReason) {
    const auto reason = [](const ht_source& source, const char* to) {
        return refusal([&] { Plan(source, {{"to", to}}); });
    };
    EXPECT_EQ("it has no elements", reason(source_of(0, 8), "bf16"));
    EXPECT_EQ("the legacy layout's marker says that every 8-bit weight of the file has a scale",
              reason(source_of(2, 8, HT_DIALECT_LEGACY), "e4m3fn"));
    EXPECT_EQ("", reason(source_of(2, 8, HT_DIALECT_LEGACY), "bf16"));
    EXPECT_EQ("loaders of bitsandbytes' layout have no use for 8-bit floating point",
              reason(source_of(2, 8, HT_DIALECT_BITSANDBYTES), "e5m2"));
}

TEST(CastRecognize, OnlyBare8BitNumbers) {
    const auto reason = [](ht_dtype dtype, const std::string& suffix = ".bias",
                           const std::string& marker = "") {
        Layer layer(marker);
        layer.add(".weight", dtype, {6, 10}).add(suffix, HT_DTYPE_F32, {6});
        return refusal([&] { layer.recognized(); });
    };
    EXPECT_EQ("", reason(HT_DTYPE_F8_E4M3));
    EXPECT_EQ("", reason(HT_DTYPE_F8_E5M2));
    EXPECT_EQ("plain numbers need no reading back", reason(HT_DTYPE_BF16));
    EXPECT_EQ("its weight is no cast alone, there is .weight_scale_inv",
              reason(HT_DTYPE_F8_E4M3, ".weight_scale_inv"));
    EXPECT_EQ("its marker says that it is more than a cast",
              reason(HT_DTYPE_F8_E4M3, ".bias", R"({"format": "float8_e4m3fn"})"));
}

}  // namespace
}  // namespace halftone::format_test
