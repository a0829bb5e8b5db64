// What is planned, refused and recognized.

#include <cmath>
#include <gtest/gtest.h>

#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

using Shape = std::vector<uint64_t>;

TEST(Int8Plan, SaysWhatIsStored) {
    EXPECT_EQ(R"({"format":"int8_tensorwise","per_row":true})", Plan(source_of(3, 5)).description());
    const Plan block(source_of(256, 384), {{"scaling", "block"}});
    EXPECT_EQ(R"({"format":"int8_blockwise","group_size":128,"params":{"group_size":128}})",
              block.description());
    EXPECT_EQ((Shape{2, 3}), block.shape(".weight_scale"));
    EXPECT_EQ((Shape{256, 384}), block.shape(".weight"));
    EXPECT_EQ(HT_DTYPE_I8, block.stored(".weight").dtype);
    EXPECT_EQ(HT_INPUT_SCALE_REQUIRED, block.facts().input_scale);
    EXPECT_EQ(128u, block.facts().granule_rows);

    const Plan lode(source_of(3, 384), {{"scaling", "lode"}, {"block_size", "64"}});
    EXPECT_EQ(R"({"format":"int8_lodewise","group_size":64,"params":{"group_size":64}})", lode.description());
    EXPECT_EQ((Shape{3, 6}), lode.shape(".weight_scale"));
    EXPECT_EQ(HT_INPUT_SCALE_REQUIRED, lode.facts().input_scale);

    const Plan tensor(source_of(3, 5, HT_DIALECT_COMFY, HT_WANTS_FULL_PRECISION_MM), {{"scaling", "tensor"}});
    EXPECT_EQ(R"({"format":"int8_tensorwise","full_precision_matrix_mult":true})", tensor.description());
    EXPECT_EQ(Shape{}, tensor.shape(".weight_scale"));
    EXPECT_EQ(HT_INPUT_SCALE_NEVER, tensor.facts().input_scale);

    const Plan row(source_of(3, 5), {{"scaling", "row"}});
    EXPECT_EQ(R"({"format":"int8_tensorwise","per_row":true})", row.description());
    EXPECT_EQ((Shape{3, 1}), row.shape(".weight_scale"));
    EXPECT_EQ(HT_INPUT_SCALE_NEVER, row.facts().input_scale);
}

TEST(Int8Plan, RotatesWhereTheGroupDividesAndSaysSo) {
    const Choices choices{{"scaling", "row"}, {"rotation", "hadamard"}};
    const Plan rotated(source_of(3, 512), choices);
    EXPECT_TRUE(rotated.facts().flags & HT_FACT_ROTATES);
    EXPECT_EQ(R"({"format":"int8_tensorwise","convrot":true,"convrot_groupsize":256,"per_row":true})",
              rotated.description());
    EXPECT_EQ(nullptr, rotated.facts().remark);
    const Plan indivisible(source_of(3, 500), choices);
    EXPECT_FALSE(indivisible.facts().flags & HT_FACT_ROTATES);
    EXPECT_EQ(R"({"format":"int8_tensorwise","per_row":true})", indivisible.description());
    EXPECT_STREQ("unrotated: no power of 4 from 16 on divides the columns", indivisible.facts().remark);
}

TEST(Int8Plan, TakesTheNextSmallerGroupThatDivides) {
    const auto group = [](uint64_t cols, const char* most) -> std::string {
        const Plan plan(source_of(3, cols),
                        {{"scaling", "row"}, {"rotation", "hadamard"}, {"rotation_group", most}});
        const std::string text = plan.description(), key = "\"convrot_groupsize\":";
        const size_t at = text.find(key);
        return at == std::string::npos ? plan.facts().remark
                                       : text.substr(at + key.size(), text.find(',', at) - at - key.size());
    };
    EXPECT_EQ("256", group(512, "256"));
    EXPECT_EQ("64", group(320, "256"));
    EXPECT_EQ("16", group(48, "256"));
    EXPECT_EQ("16", group(512, "16"));
    EXPECT_EQ("1024", group(4096, "1024"));
    EXPECT_EQ("256", group(1280, "1024"));
    EXPECT_EQ("unrotated: no power of 4 from 16 on divides the columns", group(20, "256"));
    EXPECT_EQ("4", group(20, "4"));
    EXPECT_EQ("unrotated: 4 does not divide the columns", group(21, "4"));
}

TEST(Int8Plan, SaysWhichOptionsAreGoodForNothing) {
    EXPECT_STREQ("without blocks: block_size needs another scaling",
                 Plan(source_of(3, 512), {{"scaling", "row"}, {"block_size", "64"}}).facts().remark);
    EXPECT_STREQ("unrotated: rotation_group needs rotation = \"hadamard\"",
                 Plan(source_of(3, 512), {{"scaling", "row"}, {"rotation_group", "64"}}).facts().remark);
    EXPECT_STREQ(
        "without blocks: block_size needs another scaling; unrotated: rotation_group needs rotation = "
        "\"hadamard\"",
        Plan(source_of(3, 512), {{"scaling", "row"}, {"block_size", "64"}, {"rotation_group", "64"}})
            .facts()
            .remark);
    EXPECT_EQ(nullptr, Plan(source_of(64, 512), {{"scaling", "block"}, {"block_size", "64"}}).facts().remark);
    EXPECT_EQ(nullptr, Plan(source_of(3, 512), {{"scaling", "tensor"}}).facts().remark);
}

TEST(Int8Plan, RefusesWhatTheLegacyLayoutCannotSay) {
    const auto reason = [](uint32_t wants, const Choices& choices) {
        return refusal([&] { Plan(source_of(64, 256, HT_DIALECT_LEGACY, wants), choices); });
    };
    EXPECT_EQ("", reason(0, {{"scaling", "row"}}));
    EXPECT_NE(
        std::string::npos,
        reason(0, {{"scaling", "row"}, {"rotation", "hadamard"}}).find("cannot say that rows are rotated"));
    EXPECT_NE(std::string::npos,
              reason(HT_WANTS_FULL_PRECISION_MM, {{"scaling", "row"}}).find("full precision"));
}

TEST(Int8Plan, RefusesWithTheReason) {
    const auto reason = [](uint64_t rows, uint64_t cols, const Choices& choices,
                           ht_dialect dialect = HT_DIALECT_COMFY) {
        return refusal([&] { Plan(source_of(rows, cols, dialect), choices); });
    };
    EXPECT_EQ("100 columns are no multiple of the block size, 128", reason(128, 100, {{"scaling", "block"}}));
    EXPECT_EQ("100 rows are no multiple of the block size, 128", reason(100, 128, {{"scaling", "block"}}));
    EXPECT_EQ("", reason(100, 128, {{"scaling", "lode"}}));
    EXPECT_EQ("rotation_group is 128, which is no power of 4",
              reason(4, 128, {{"scaling", "row"}, {"rotation", "hadamard"}, {"rotation_group", "128"}}));
    EXPECT_EQ("rotation needs scaling = \"row\"",
              reason(128, 128, {{"scaling", "block"}, {"rotation", "hadamard"}}));
    EXPECT_EQ("it has no elements", reason(0, 128, {}));
    EXPECT_EQ("bitsandbytes stores INT8 in another way", reason(128, 128, {}, HT_DIALECT_BITSANDBYTES));
}

// ---------------------------------------------------------------------------------------- reading back

struct Stored {
    std::string marker;
    Shape weight, scales;
    std::string scaling;
    int64_t block = 0;
    std::string scale_name = ".weight_scale";
};

TEST(Int8Recognize, TakesEveryLayoutByTheShapeOfItsScales) {
    const std::vector<Stored> layers = {
        {R"({"format": "int8_blockwise", "group_size": 128})", {256, 384}, {2, 3}, "block", 128},
        {R"({"format": "int8_blockwise", "params": {"group_size": 64}})", {64, 64}, {1, 1}, "block", 64},
        {R"({"format": "int8_blockwise"})", {256, 128}, {4, 2}, "block", 64},
        {R"({"format": "int8_lodewise", "params": {"group_size": 32}})", {8, 64}, {8, 2}, "lode", 32},
        {R"({"format": "int8_lodewise"})", {64, 64}, {2, 2}, "block", 32},  // before 11 December 2025
        {R"({"format": "int8_blockwise", "group_size": 1})",
         {8, 64},
         {8, 1},
         "row"},  // mistaken by a converter
        {R"({"format": "int8_blockwise", "group_size": 1})", {8, 64}, {8, 2}, "lode", 32},
        {R"({"format": "int8_blockwise", "group_size": 128})", {8, 64}, {}, "tensor"},
        {R"({"format": "int8_tensorwise"})", {8, 64}, {}, "tensor"},
        {R"({"format": "int8_tensorwise"})", {8, 64}, {1}, "tensor"},
        {R"({"format": "int8_tensorwise"})", {8, 64}, {8, 1}, "row"},
        {R"({"format": "int8_tensorwise"})", {8, 64}, {8}, "row"},
        {R"({"format": "int8_tensorwise", "per_row": true})", {1, 64}, {1, 1}, "row"},
        {"", {8, 64}, {}, "tensor", 0, ".scale_weight"},
        {"", {8, 64}, {1}, "tensor", 0, ".scale_weight"},
        {"", {8, 64}, {8}, "row", 0, ".scale_weight"},
        {"", {8, 64}, {8, 1}, "row", 0, ".scale_weight"},
        {"", {64, 64}, {64, 1}, "row", 0, ".scale_weight"},
        {"", {256, 384}, {2, 3}, "block", 128, ".scale_weight"},
        {"", {256, 384}, {256, 3}, "lode", 128, ".scale_weight"},
    };
    for (const Stored& stored : layers) {
        Layer layer(stored.marker);
        layer.add(".weight", HT_DTYPE_I8, stored.weight).add(stored.scale_name, HT_DTYPE_F32, stored.scales);
        const auto what = stored.marker + " " + std::to_string(stored.scales.size());
        const auto recognized = layer.recognized();
        EXPECT_EQ(stored.scaling, recognized.values->choice("scaling")) << what;
        if (stored.block) {
            EXPECT_EQ(stored.block, recognized.values->whole("block_size")) << what;
        }
        EXPECT_EQ(stored.marker.empty() ? HT_DIALECT_LEGACY : HT_DIALECT_COMFY, recognized.source.dialect);
        EXPECT_EQ(stored.weight[0], recognized.source.rows);
        // And a plan can be made of it, with as many scales as are stored.
        const Plan plan(recognized.source, *recognized.values);
        uint64_t n = 1, planned = bytes_of(*plan.facts().stored[1]) / 4;
        for (const uint64_t side : stored.scales)
            n *= side;
        EXPECT_EQ(n, planned) << what;
    }
}

TEST(Int8Recognize, ReadsTheRotation) {
    const auto rotation = [](const std::string& marker) {
        Layer layer(marker);
        layer.add(".weight", HT_DTYPE_I8, {4, 1024}).add(".weight_scale", HT_DTYPE_F32, {4, 1});
        const auto recognized = layer.recognized();
        return recognized.values->choice("rotation") + " " +
               std::to_string(recognized.values->whole("rotation_group"));
    };
    EXPECT_EQ("hadamard 256", rotation(R"({"format": "int8_tensorwise", "convrot": true})"));
    EXPECT_EQ("hadamard 64",
              rotation(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 64})"));
    EXPECT_EQ(
        "hadamard 16",
        rotation(R"({"format": "int8_tensorwise", "params": {"convrot": true, "convrot_groupsize": 16}})"));
    EXPECT_EQ("none 256", rotation(R"({"format": "int8_tensorwise", "per_row": true})"));
    // By the truth of loaders, who look into "params" for what the root does not have.
    for (const char* yes : {"1", "\"yes\"", "\"false\"", "0.5", "[0]"})
        EXPECT_EQ("hadamard 256",
                  rotation(R"({"format": "int8_tensorwise", "convrot": )" + std::string(yes) + "}"));
    for (const char* no : {"0", "\"\"", "null", "[]", "{}", "0.0"})
        EXPECT_EQ("none 256", rotation(R"({"format": "int8_tensorwise", "convrot": )" + std::string(no) +
                                       R"(, "params": {"convrot": true}})"));
    for (const char* group : {"\"64\"", "64.9", "\" 64 \""})
        EXPECT_EQ("hadamard 64",
                  rotation(R"({"format": "int8_tensorwise", "convrot": 1, "convrot_groupsize": )" +
                           std::string(group) + R"(, "params": {"convrot_groupsize": 16}})"));
    EXPECT_EQ("its marker says null for convrot_groupsize, which is no whole number", refusal([&] {
                  rotation(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": null})");
              }));
    // Which nobody asks for where rows are not rotated.
    EXPECT_EQ("none 256", rotation(R"({"format": "int8_tensorwise", "convrot_groupsize": "x"})"));
    EXPECT_NE("", refusal([&] {
                  rotation(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 512})");
              }));
}

// Loaders rotate whatever has one scale, too, though no writer of theirs makes it.
TEST(Int8Recognize, ReadsARotationBelowOneScale) {
    Layer layer(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 16})");
    layer.add(".weight", HT_DTYPE_I8, {4, 64}).add(".weight_scale", HT_DTYPE_F32, {});
    const auto recognized = layer.recognized();
    EXPECT_EQ("tensor", recognized.values->choice("scaling"));
    EXPECT_TRUE(Plan(recognized.source, *recognized.values).facts().flags & HT_FACT_ROTATES);
    EXPECT_EQ("rotation needs scaling = \"row\"", refusal([] {
                  Plan(source_of(4, 64), {{"scaling", "tensor"}, {"rotation", "hadamard"}});
              }));
}

TEST(Int8Recognize, TakesOtherTypesThatLoadersConvert) {
    const auto reason = [](const std::string& marker, ht_dtype weight, ht_dtype scale) {
        Layer layer(marker);
        layer.add(".weight", weight, {8, 64}).add(".weight_scale", scale, {8, 1});
        return refusal([&] { layer.recognized(); });
    };
    const std::string label = R"({"format": "int8_tensorwise"})";
    for (const ht_dtype scale : {HT_DTYPE_F32, HT_DTYPE_F16, HT_DTYPE_BF16, HT_DTYPE_F64})
        for (const ht_dtype weight : {HT_DTYPE_I8, HT_DTYPE_U8})
            EXPECT_EQ("", reason(label, weight, scale));
    const std::string rotated = R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 16})";
    EXPECT_EQ("", reason(rotated, HT_DTYPE_U8, HT_DTYPE_BF16));
    EXPECT_NE("", reason(rotated, HT_DTYPE_I8, HT_DTYPE_F64));
    EXPECT_EQ("its weight is not stored as I8", reason("", HT_DTYPE_U8, HT_DTYPE_F32));
    EXPECT_EQ("its weight is not stored as I8", reason(label, HT_DTYPE_F8_E4M3, HT_DTYPE_F32));
    EXPECT_EQ("its scale is not stored as floating point", reason(label, HT_DTYPE_I8, HT_DTYPE_U8));
}

TEST(Int8Recognize, OfAStackTheDimensionsOfScalesSayWhatSharesOne) {
    const auto scaling = [](const Shape& scales) -> std::string {
        Layer layer(R"({"format": "int8_tensorwise", "num_experts": 3})");
        layer.add(".weight", HT_DTYPE_I8, {8, 64}).add(".weight_scale", HT_DTYPE_F32, scales);
        std::string answer;
        const std::string reason = refusal([&] { answer = layer.recognized().values->choice("scaling"); });
        return reason.empty() ? answer : "refused";
    };
    EXPECT_EQ("row", scaling({8, 1}));
    EXPECT_EQ("tensor", scaling({}));
    EXPECT_EQ("tensor", scaling({1}));
    EXPECT_EQ("refused", scaling({8}));
    EXPECT_EQ("refused", scaling({1, 1}));
}

TEST(Int8Plan, RotatesStacksOfExpertsAndSaysWhoDoesNotRotateBack) {
    ht_source stack = source_of(4, 512);
    stack.experts = 3;
    stack.rank = 3;
    stack.shape[0] = 3, stack.shape[1] = 4, stack.shape[2] = 512;
    const Plan plan(stack, {{"rotation", "hadamard"}});
    EXPECT_TRUE(plan.facts().flags & HT_FACT_ROTATES);
    EXPECT_STREQ("rotated in a stack of experts: ComfyUI 0.33.0 and older do not rotate those back",
                 plan.facts().remark);
    EXPECT_EQ(nullptr, Plan(stack, {}).facts().remark);
}

TEST(Int8Recognize, RefusesWhatIsNotItsOwnOrMakesNoSense) {
    const auto reason = [](const std::string& marker, ht_dtype weight, ht_dtype scale, const Shape& shape) {
        Layer layer(marker);
        layer.add(".weight", weight, {8, 64}).add(".weight_scale", scale, shape);
        return refusal([&] { layer.recognized(); });
    };
    EXPECT_EQ("its weight is not stored as I8", reason("", HT_DTYPE_F8_E4M3, HT_DTYPE_F32, {}));
    EXPECT_EQ("its scale is not stored as floating point", reason("", HT_DTYPE_I8, HT_DTYPE_I32, {}));
    EXPECT_EQ("its format is 'convrot_w4a4'",
              reason(R"({"format": "convrot_w4a4"})", HT_DTYPE_I8, HT_DTYPE_F32, {8}));
    EXPECT_EQ("its scale has shape [5, 3], which fits no layout of 8 x 64",
              reason("", HT_DTYPE_I8, HT_DTYPE_F32, {5, 3}));
    EXPECT_EQ("its scale has shape [8, 2], which fits no layout of 8 x 64 under 'int8_tensorwise'",
              reason(R"({"format": "int8_tensorwise"})", HT_DTYPE_I8, HT_DTYPE_F32, {8, 2}));
    EXPECT_EQ("its marker says groups of 64, but the scales, [8, 2], are of 32",
              reason(R"({"format": "int8_lodewise", "group_size": 64})", HT_DTYPE_I8, HT_DTYPE_F32, {8, 2}));
    Layer bare;
    bare.add(".weight", HT_DTYPE_I8, {8, 64});
    EXPECT_EQ("its weight has no scale", refusal([&] { bare.recognized(); }));
}

TEST(Int8Load, RefusesScalesThatAreNone) {
    const Plan plan(source_of(2, 4), {{"scaling", "row"}});
    for (const float bad : {-1.0f, NAN, INFINITY}) {
        EXPECT_NE("", refusal([&] { plan.load({{}, bytes_of(std::vector{1.0f, bad})}); }));
    }
    EXPECT_EQ("there is no .weight_scale", refusal([&] { plan.load({{}, {}}); }));
}

}  // namespace
}  // namespace halftone::format_test
