// What is planned, refused and recognized.

#include <gtest/gtest.h>

#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

using Shape = std::vector<uint64_t>;
constexpr const char* state = ".weight.quant_state.bitsandbytes__nf4";

std::string text_of(const Bytes& bytes) {
    return {bytes.begin(), bytes.end()};
}

TEST(Nf4Plan, SaysWhatIsStoredForComfyUi) {
    const Plan plan(source_of(6, 64));
    EXPECT_EQ(R"({"format":"bnb_nf4","group_size":64,"params":{"group_size":64},"orig_shape":[6,64]})",
              plan.description());
    EXPECT_EQ((Shape{192}), plan.shape(".weight"));
    EXPECT_EQ((Shape{6}), plan.shape(".absmax"));
    EXPECT_EQ(HT_INPUT_SCALE_NEVER, plan.facts().input_scale);
    EXPECT_EQ(HT_SCALE_RUN, plan.facts().scale_kind);
}

TEST(Nf4Plan, BandsHoldWholeBlocksThatMayCrossRows) {
    EXPECT_EQ(2u, Plan(source_of(6, 96)).facts().granule_rows);
    EXPECT_EQ(64u, Plan(source_of(64, 3)).facts().granule_rows);
    EXPECT_EQ(96u, Plan(source_of(64, 3)).facts().granule_bytes);
    EXPECT_EQ(1u, Plan(source_of(5, 128)).facts().granule_rows);
}

TEST(Nf4Plan, SaysWhatIsStoredForBitsandbytes) {
    const Plan nested(source_of(100, 33, HT_DIALECT_BITSANDBYTES, 0, HT_DTYPE_F16));
    EXPECT_EQ((Shape{1650, 1}), nested.shape(".weight"));
    EXPECT_EQ((Shape{52}), nested.shape(".weight.absmax"));
    EXPECT_EQ(HT_DTYPE_U8, nested.stored(".weight.absmax").dtype);
    EXPECT_EQ((Shape{16}), nested.shape(".weight.quant_map"));
    EXPECT_EQ((Shape{1}), nested.shape(".weight.nested_absmax"));
    EXPECT_EQ((Shape{256}), nested.shape(".weight.nested_quant_map"));
    EXPECT_TRUE(nested.facts().flags & HT_FACT_ENCODE_BEFORE_SEAL);
    const Matrix matrix{100, 33, std::vector<float>(3300, 0.25f)};
    const std::string text = text_of(nested.companion(nested.fit(matrix), state));
    EXPECT_EQ(R"({"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [100, 33], )"
              R"("nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.25})",
              text.substr(0, text.find('}') + 1));
    EXPECT_EQ(std::string::npos, text.find_first_not_of(' ', text.find('}') + 1));

    const Plan plain(source_of(5, 13, HT_DIALECT_BITSANDBYTES), {{"double_quant", "false"}});
    EXPECT_EQ((Shape{33, 1}), plain.shape(".weight"));
    EXPECT_EQ((Shape{2}), plain.shape(".weight.absmax"));
    EXPECT_EQ(R"({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [5, 13]})",
              text_of(plain.companion(plain.fit({5, 13, std::vector<float>(65, 1.0f)}), state)));
}

TEST(Nf4Plan, RefusesWithTheReason) {
    const auto reason = [](uint64_t rows, uint64_t cols, const std::string& block,
                           ht_dialect dialect = HT_DIALECT_COMFY, uint32_t wants = 0) {
        return refusal([&] { Plan(source_of(rows, cols, dialect, wants), {{"block_size", block}}); });
    };
    EXPECT_EQ("65 elements are no multiple of the block size, 64", reason(5, 13, "64"));
    EXPECT_EQ("", reason(5, 13, "64", HT_DIALECT_BITSANDBYTES));
    EXPECT_EQ("the block size is 7, and two codes share a byte, so it has to be even", reason(7, 7, "7"));
    EXPECT_EQ("the block size is 48, and bitsandbytes takes powers of 2 from 32 to 4096",
              reason(48, 4, "48", HT_DIALECT_BITSANDBYTES));
    EXPECT_EQ("", reason(48, 4, "48"));
    EXPECT_EQ("nf4 has no legacy layout", reason(8, 8, "64", HT_DIALECT_LEGACY));
    EXPECT_EQ("it has no elements", reason(0, 8, "64"));
    EXPECT_NE("", reason(8, 8, "64", HT_DIALECT_COMFY, HT_WANTS_COLUMNS));
}

TEST(Nf4Recognize, TakesWhatItWrote) {
    for (const Choices& choices : {Choices{{"block_size", "32"}}, Choices{{"double_quant", "false"}}})
        for (const ht_dialect dialect : {ht_dialect{HT_DIALECT_COMFY}, ht_dialect{HT_DIALECT_BITSANDBYTES}}) {
            const Plan plan(source_of(6, 64, dialect), choices);
            const Grid grid = plan.fit({6, 64, std::vector<float>(384, 1.0f)});
            const std::string marker = dialect == HT_DIALECT_COMFY ? plan.description() : "";
            const auto recognized = layer_of(plan, grid, marker).recognized();
            EXPECT_EQ(dialect, recognized.source.dialect);
            EXPECT_EQ(6u, recognized.source.rows);
            EXPECT_EQ(64u, recognized.source.cols);
            EXPECT_EQ(choices.contains("block_size") ? 32 : 64, recognized.values->whole("block_size"));
            if (dialect == HT_DIALECT_BITSANDBYTES) {
                EXPECT_EQ(HT_DTYPE_BF16, recognized.source.dtype);
                EXPECT_EQ(!choices.contains("double_quant"), recognized.values->whole("double_quant") != 0);
            }
        }
}

TEST(Nf4Recognize, FindsTheShapeWhereItIsTold) {
    const auto shape = [](const std::string& marker, uint64_t bias) {
        Layer layer(marker);
        layer.add(".weight", HT_DTYPE_U8, {192}).add(".absmax", HT_DTYPE_F32, {6});
        if (bias) layer.add(".bias", HT_DTYPE_BF16, {bias});
        const auto source = layer.recognized().source;
        return std::to_string(source.rows) + " x " + std::to_string(source.cols);
    };
    EXPECT_EQ("12 x 32", shape(R"({"format": "bnb_nf4", "params": {"group_size": 64}})", 12));
    EXPECT_EQ("6 x 64", shape(R"({"format": "bnb_nf4", "group_size": 64, "shape": [6, 64]})", 0));
    EXPECT_EQ("its codes are stored flat, and neither its marker nor a bias tells the shape",
              refusal([&] { shape(R"({"format": "bnb_nf4"})", 0); }));
    EXPECT_EQ("its shape is said to be none of a matrix of 384 elements",
              refusal([&] { shape(R"({"format": "bnb_nf4", "orig_shape": [5, 64]})", 0); }));
}

TEST(Nf4Recognize, RefusesWhatItCannotRead) {
    const auto reason = [](const std::string& text, const std::string& marker = "") {
        Layer layer(marker);
        layer.add(".weight", HT_DTYPE_U8, {33, 1}).add(".weight.absmax", HT_DTYPE_U8, {2});
        if (!text.empty()) layer.add(state, HT_DTYPE_U8, {text.size()}, text);
        return refusal([&] { layer.recognized(); });
    };
    const std::string shape = R"("shape": [5, 13], "nested_blocksize": 256)";
    EXPECT_EQ("", reason(R"({"quant_type": "nf4", "blocksize": 64, )" + shape + "}"));
    EXPECT_EQ("its state names no codes of known block size",
              reason(R"({"quant_type": "fp4", "blocksize": 64, )" + shape + "}"));
    EXPECT_EQ("its scales are quantized in blocks of another size than 256",
              reason(R"({"quant_type": "nf4", "blocksize": 64, "shape": [5, 13]})"));
    EXPECT_EQ("its state tells no shape of a matrix of 66 codes",
              reason(R"({"quant_type": "nf4", "blocksize": 64, "shape": [4, 13], "nested_blocksize": 256})"));
    EXPECT_EQ("it is not labelled bnb_nf4", reason("", R"({"format": "bnb_fp4"})"));
}

TEST(Nf4Load, RefusesLevelsOfAnotherKind) {
    const Plan plan(source_of(2, 32, HT_DIALECT_BITSANDBYTES));
    auto companions = plan.companions(plan.fit({2, 32, std::vector<float>(64, 1.0f)}));
    EXPECT_EQ("", refusal([&] { plan.load(companions); }));
    auto other = companions;
    other[2][7] ^= 0x40;
    EXPECT_EQ("its levels are not those of nf4", refusal([&] { plan.load(other); }));
    other = companions;
    std::fill(other.back().begin(), other.back().end(), ' ');
    EXPECT_NE("", refusal([&] { plan.load(other); }));
    other = companions;
    other[3].clear();
    EXPECT_EQ("there is no .weight.nested_absmax", refusal([&] { plan.load(other); }));
}

}  // namespace
}  // namespace halftone::format_test
