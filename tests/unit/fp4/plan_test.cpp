// What is planned, refused and recognized; what fp4 shares with nf4 is tested there.

#include <gtest/gtest.h>

#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

using Shape = std::vector<uint64_t>;
constexpr const char* state = ".weight.quant_state.bitsandbytes__fp4";

TEST(Fp4Plan, NamesItselfInBothLayouts) {
    const Plan plan(source_of(6, 64));
    EXPECT_EQ(R"({"format":"bnb_fp4","group_size":64,"params":{"group_size":64},"orig_shape":[6,64]})",
              plan.description());
    EXPECT_EQ((Shape{192}), plan.shape(".weight"));
    EXPECT_EQ((Shape{6}), plan.shape(".absmax"));

    const Plan genuine(source_of(5, 13, HT_DIALECT_BITSANDBYTES), {{"double_quant", "false"}});
    EXPECT_EQ((Shape{33, 1}), genuine.shape(".weight"));
    const Bytes text = genuine.companion(genuine.fit({5, 13, std::vector<float>(65, 1.0f)}), state);
    EXPECT_EQ(R"({"quant_type": "fp4", "blocksize": 64, "dtype": "bfloat16", "shape": [5, 13]})",
              std::string(text.begin(), text.end()));
}

TEST(Fp4Plan, HasTheLevelsInTheOrderOfTheCodes) {
    const Plan plan(source_of(2, 32, HT_DIALECT_BITSANDBYTES));
    const auto map = numbers<uint32_t>(
        plan.companion(plan.fit({2, 32, std::vector<float>(64, 1.0f)}), ".weight.quant_map"));
    EXPECT_EQ((std::vector<uint32_t>{0x00000000, 0x3BAAAAAB, 0x3F2AAAAB, 0x3F800000, 0x3EAAAAAB, 0x3F000000,
                                     0x3E2AAAAB, 0x3E800000, 0x00000000, 0xBBAAAAAB, 0xBF2AAAAB, 0xBF800000,
                                     0xBEAAAAAB, 0xBF000000, 0xBE2AAAAB, 0xBE800000}),
              map);
}

TEST(Fp4Plan, SaysWhoRefuses) {
    EXPECT_EQ("fp4 has no legacy layout", refusal([] { Plan(source_of(8, 8, HT_DIALECT_LEGACY)); }));
    EXPECT_EQ("65 elements are no multiple of the block size, 64", refusal([] { Plan(source_of(5, 13)); }));
    EXPECT_NE("", refusal([] { Plan(source_of(8, 8, HT_DIALECT_COMFY, HT_WANTS_ROWS)); }));
}

TEST(Fp4Recognize, TakesItsOwnAndLeavesItsSibling) {
    for (const ht_dialect dialect : {ht_dialect{HT_DIALECT_COMFY}, ht_dialect{HT_DIALECT_BITSANDBYTES}}) {
        const Plan plan(source_of(6, 64, dialect), {{"block_size", "32"}});
        const Grid grid = plan.fit({6, 64, std::vector<float>(384, 1.0f)});
        const std::string marker = dialect == HT_DIALECT_COMFY ? plan.description() : "";
        const auto recognized = layer_of(plan, grid, marker).recognized();
        EXPECT_EQ(dialect, recognized.source.dialect);
        EXPECT_EQ(6u, recognized.source.rows);
        EXPECT_EQ(32, recognized.values->whole("block_size"));
    }
    const auto reason = [](const std::string& marker) {
        Layer layer(marker);
        layer.add(".weight", HT_DTYPE_U8, {192}).add(".absmax", HT_DTYPE_F32, {6});
        return refusal([&] { layer.recognized(); });
    };
    EXPECT_EQ("it is not labelled bnb_fp4", reason(R"({"format": "bnb_nf4"})"));
}

// bitsandbytes calls this quant_storage: the same bytes, viewed as another type.
TEST(Fp4Recognize, TakesCodesThatAreStoredAsAnotherType) {
    const auto seen = [](ht_dtype dtype, uint64_t n) {
        const std::string text =
            R"({"quant_type": "fp4", "blocksize": 64, "dtype": "float16", "shape": [6, 64]})";
        Layer layer;
        layer.add(".weight", dtype, {n, 1})
            .add(".weight.absmax", HT_DTYPE_F32, {6})
            .add(state, HT_DTYPE_U8, {text.size()}, text);
        return refusal([&] { layer.recognized(); });
    };
    EXPECT_EQ("", seen(HT_DTYPE_U8, 192));
    EXPECT_EQ("", seen(HT_DTYPE_BF16, 96));
    EXPECT_EQ("", seen(HT_DTYPE_F32, 48));
    EXPECT_EQ("", seen(HT_DTYPE_F64, 24));
    EXPECT_EQ("its state tells no shape of a matrix of 768 codes", seen(HT_DTYPE_BF16, 192));
    EXPECT_EQ("its codes are stored as a type that no writer views them as", seen(HT_DTYPE_F4, 384));
    EXPECT_EQ("its codes are stored as a type that no writer views them as", seen(HT_DTYPE_I8, 192));
}

TEST(Fp4Load, RefusesLevelsOfAnotherKind) {
    const Plan plan(source_of(2, 32, HT_DIALECT_BITSANDBYTES), {{"double_quant", "false"}});
    auto companions = plan.companions(plan.fit({2, 32, std::vector<float>(64, 1.0f)}));
    EXPECT_EQ("", refusal([&] { plan.load(companions); }));
    companions[2][7] ^= 0x40;
    EXPECT_EQ("its levels are not those of fp4", refusal([&] { plan.load(companions); }));
}

}  // namespace
}  // namespace halftone::format_test
