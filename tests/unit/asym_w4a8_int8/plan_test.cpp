// What is planned, refused and recognized.

#include <cmath>
#include <gtest/gtest.h>

#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

using Shape = std::vector<uint64_t>;

TEST(AsymW4a8Int8Plan, SaysWhatIsStored) {
    const Plan plan(source_of(3, 512));
    EXPECT_EQ(
        R"({"format":"asym_w4a8_int8","group_size":16,"params":{"group_size":16},"convrot_groupsize":256})",
        plan.description());
    EXPECT_EQ((Shape{3, 256}), plan.shape(".weight"));
    EXPECT_EQ((Shape{3, 32}), plan.shape(".weight_s_rel"));
    EXPECT_EQ(HT_DTYPE_F8_E4M3, plan.stored(".weight_s_rel").dtype);
    EXPECT_EQ((Shape{3}), plan.shape(".weight_s_channel"));
    EXPECT_EQ((Shape{16}), plan.shape(".weight_codebook"));
    EXPECT_EQ(HT_INPUT_SCALE_NEVER, plan.facts().input_scale);
    EXPECT_EQ(1u, plan.facts().passes);
    const Plan other(source_of(3, 48), {{"group_size", "4"}, {"codebook", "none"}});
    EXPECT_EQ(
        R"({"format":"asym_w4a8_int8","group_size":4,"params":{"group_size":4},"convrot_groupsize":16})",
        other.description());
    EXPECT_EQ(3u, other.facts().n_stored);
    EXPECT_EQ(0u, other.facts().passes);
}

TEST(AsymW4a8Int8Plan, RefusesWithTheReason) {
    const auto reason = [](const ht_source& source, const Choices& choices = {}) {
        return refusal([&] { Plan(source, choices); });
    };
    EXPECT_EQ("", reason(source_of(1, 16)));
    EXPECT_EQ("40 columns are no multiple of 16, as its loaders need", reason(source_of(4, 40)));
    EXPECT_EQ("96 columns are no multiple of the group size, 64",
              reason(source_of(4, 96), {{"group_size", "64"}}));
    EXPECT_EQ("group_size is 24; loaders take 4, 8 and multiples of 16",
              reason(source_of(4, 96), {{"group_size", "24"}}));
    EXPECT_EQ("it has no elements", reason(source_of(0, 64)));
    EXPECT_EQ("asym_w4a8_int8 has no other layout than ComfyUI's",
              reason(source_of(4, 64, HT_DIALECT_LEGACY)));
    EXPECT_NE("", reason(source_of(4, 64, HT_DIALECT_COMFY, HT_WANTS_COLUMNS)));
}

TEST(AsymW4a8Int8Plan, RefusesToWriteWhatIsOnlyRead) {
    const auto reason = [](const Choices& choices) {
        return refusal([&] { Plan(source_of(4, 64), choices); });
    };
    EXPECT_EQ("codes of 6 bits are read, and not written yet: use bits = 4", reason({{"bits", "6"}}));
    EXPECT_EQ("group scales in F32 are read, and not written: use group_scale = \"e4m3\"",
              reason({{"group_scale", "f32"}}));
    ht_source stack = source_of(4, 64);
    stack.experts = 3;
    stack.rank = 3;
    stack.shape[0] = 3, stack.shape[1] = 4, stack.shape[2] = 64;
    EXPECT_EQ("stacks of experts are read, and not written yet: they share one codebook",
              refusal([&] { Plan plan(stack); }));
}

struct Parts {
    std::string marker = R"({"format": "asym_w4a8_int8", "group_size": 16, "convrot_groupsize": 64})";
    ht_dtype scale_dtype = HT_DTYPE_F8_E4M3;
    Shape scales{4, 16}, steps{4}, codebook{16}, correction{};
    Shape weight{4, 128};
    ht_dtype weight_dtype = HT_DTYPE_I8, number_dtype = HT_DTYPE_F32;
};

Layer layer_of(const Parts& parts) {
    Layer layer(parts.marker);
    layer.add(".weight", parts.weight_dtype, parts.weight)
        .add(".weight_s_rel", parts.scale_dtype, parts.scales);
    layer.add(".weight_s_channel", parts.number_dtype, parts.steps);
    if (!parts.codebook.empty()) layer.add(".weight_codebook", parts.number_dtype, parts.codebook);
    if (!parts.correction.empty()) layer.add(".weight_correction", HT_DTYPE_BF16, parts.correction);
    return layer;
}

TEST(AsymW4a8Int8Recognize, TakesEveryRecipe) {
    const auto read = [](const Parts& parts) {
        const auto recognized = layer_of(parts).recognized();
        EXPECT_EQ(256u, recognized.source.cols);
        const Plan plan(recognized.source, *recognized.values);
        return recognized.values->choice("codebook") + " " +
               std::to_string(recognized.values->whole("group_size")) + " " +
               std::to_string(plan.facts().n_stored);
    };
    EXPECT_EQ("fixed 16 4", read({}));
    EXPECT_EQ("fixed 16 4", read({.scale_dtype = HT_DTYPE_U8}));
    EXPECT_EQ("none 16 3", read({.codebook = {}}));
    EXPECT_EQ("none 16 4", read({.codebook = {}, .correction = {16, 4}}));
    EXPECT_EQ("fixed 32 4", read({.marker = R"({"format": "asym_w4a8_int8", "params": {"group_size": 32}})",
                                  .scales = {4, 8}}));
    EXPECT_EQ("fixed 16 4", read({.weight_dtype = HT_DTYPE_U8, .number_dtype = HT_DTYPE_BF16}));
    EXPECT_EQ("fixed 32 4", read({.marker = R"({"format": "asym_w4a8_int8", "group_size": "32",
                                                "params": {"group_size": 16}, "convrot_groupsize": 64.5})",
                                  .scales = {4, 8}}));
}

TEST(AsymW4a8Int8Recognize, TakesSixBitsAndWideScales) {
    const auto read = [](const Parts& parts) {
        const auto recognized = layer_of(parts).recognized();
        EXPECT_EQ(256u, recognized.source.cols);
        const Plan plan(recognized.source, *recognized.values);
        EXPECT_EQ(parts.weight, plan.shape(".weight"));
        return recognized.values->choice("bits") + " " + recognized.values->choice("group_scale") + " " +
               std::to_string(plan.facts().n_stored);
    };
    EXPECT_EQ("6 e4m3 3", read({.codebook = {}, .weight = {4, 192}}));
    EXPECT_EQ("6 e4m3 3", read({.scale_dtype = HT_DTYPE_U8, .codebook = {}, .weight = {4, 192}}));
    EXPECT_EQ("6 f32 3", read({.scale_dtype = HT_DTYPE_F32, .codebook = {}, .weight = {4, 192}}));
    EXPECT_EQ("4 f32 4", read({.scale_dtype = HT_DTYPE_F32}));
    EXPECT_EQ("4 f32 4", read({.scale_dtype = HT_DTYPE_BF16}));
}

TEST(AsymW4a8Int8Recognize, TakesStacksOfExperts) {
    const std::string marker =
        R"({"format": "asym_w4a8_int8", "group_size": 16, "convrot_groupsize": 64, "num_experts": 3})";
    // Each expert's part, as hosts show it, or all of their rows.
    EXPECT_EQ("", refusal([&] { layer_of({.marker = marker}).recognized(); }));
    EXPECT_EQ("", refusal([&] {
                  layer_of({.marker = marker, .scales = {12, 16}, .steps = {12}}).recognized();
              }));
    EXPECT_NE("", refusal([&] {
                  layer_of({.marker = marker, .scales = {8, 16}, .steps = {8}}).recognized();
              }));
    EXPECT_NE("", refusal([&] { layer_of({.scales = {12, 16}, .steps = {12}}).recognized(); }));
    EXPECT_NE("", refusal([&] { layer_of({.marker = marker, .correction = {16, 4}}).recognized(); }));
}

TEST(AsymW4a8Int8Recognize, RefusesWhatIsNotItsOwnOrMakesNoSense) {
    const auto reason = [](const Parts& parts) { return refusal([&] { layer_of(parts).recognized(); }); };
    EXPECT_EQ("it is not labelled asym_w4a8_int8", reason({.marker = R"({"format": "convrot_w4a4"})"}));
    EXPECT_EQ(
        ".weight_s_rel has shape [4, 8], and 128 bytes in a row are codes of neither 4 nor 6 bits in groups "
        "of 16",
        reason({.scales = {4, 8}}));
    EXPECT_EQ(".weight_s_rel has shape [5, 16], not [4, 16]", reason({.scales = {5, 16}}));
    EXPECT_EQ(".weight_s_rel is of a type that is not read", reason({.scale_dtype = HT_DTYPE_I32}));
    EXPECT_EQ(".weight_s_channel has shape [4, 1], not [4]", reason({.steps = {4, 1}}));
    EXPECT_EQ(".weight_codebook has shape [8], not [16]", reason({.codebook = {8}}));
    EXPECT_EQ(".weight_correction has shape [4, 16], not [16, 4]", reason({.correction = {4, 16}}));
    EXPECT_EQ("codes of 6 bits go with neither .weight_codebook nor .weight_correction",
              reason({.scales = {4, 16}, .weight = {4, 192}}));
    EXPECT_EQ("codes of 6 bits need columns in multiples of 32 and groups in multiples of 16, not 256 and 8",
              reason({.marker = R"({"format": "asym_w4a8_int8", "group_size": 8})",
                      .scales = {4, 32},
                      .codebook = {},
                      .weight = {4, 192}}));
    EXPECT_EQ("its marker says \"x\" for group_size, which is no whole number",
              reason({.marker = R"({"format": "asym_w4a8_int8", "group_size": "x"})"}));
    EXPECT_EQ("its marker says groups of 24, which cannot be",
              reason({.marker = R"({"format": "asym_w4a8_int8", "group_size": 24})"}));
    EXPECT_EQ("its marker says that it is rotated in groups of 32, which cannot be",
              reason({.marker = R"({"format": "asym_w4a8_int8", "convrot_groupsize": 32})"}));
}

TEST(AsymW4a8Int8Load, RefusesNumbersThatMakeNoSense) {
    const Plan plan(source_of(1, 16));
    std::vector<float> book(16);
    for (size_t i = 0; i < 16; ++i)
        book[i] = static_cast<float>(i) / 16;
    const auto reason = [&](uint8_t scale, float step, const std::vector<float>& levels) {
        return refusal([&] { plan.load({{}, {scale}, bytes_of(std::vector{step}), bytes_of(levels)}); });
    };
    EXPECT_EQ("", reason(0x38, 1, book));
    EXPECT_EQ("", reason(0x00, 0, book));
    EXPECT_NE("", reason(0x7F, 1, book));
    EXPECT_NE("", reason(0xB8, 1, book));
    for (const float bad : {-1.0f, NAN, INFINITY})
        EXPECT_NE("", reason(0x38, bad, book));
    std::swap(book[3], book[4]);
    EXPECT_NE("", reason(0x38, 1, book));
    EXPECT_EQ("there is no .weight_codebook", refusal([&] {
                  plan.load({{}, {0x38}, bytes_of(std::vector{1.0f}), {}});
              }));
}

}  // namespace
}  // namespace halftone::format_test
