// What is planned, refused and recognized.

#include <cmath>
#include <gtest/gtest.h>

#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

using Shape = std::vector<uint64_t>;

TEST(ConvrotW4a4Plan, SaysWhatIsStored) {
    const Plan plan(source_of(3, 512));
    EXPECT_EQ(R"({"format":"convrot_w4a4","convrot_groupsize":256,"linear_dtype":"int8"})",
              plan.description());
    EXPECT_EQ((Shape{3, 256}), plan.shape(".weight"));
    EXPECT_EQ(HT_DTYPE_I8, plan.stored(".weight").dtype);
    EXPECT_EQ((Shape{3}), plan.shape(".weight_scale"));
    EXPECT_EQ(HT_INPUT_SCALE_NEVER, plan.facts().input_scale);
    EXPECT_TRUE(plan.facts().flags & HT_FACT_ROTATES);
    const Plan other(source_of(3, 512, HT_DIALECT_COMFY, HT_WANTS_FULL_PRECISION_MM),
                     {{"linear_dtype", "int4"}, {"rotation_group", "16"}});
    EXPECT_EQ(
        R"({"format":"convrot_w4a4","convrot_groupsize":16,"linear_dtype":"int4","full_precision_matrix_mult":true})",
        other.description());
}

TEST(ConvrotW4a4Plan, TakesTheNextSmallerGroupThatDivides) {
    const Plan plan(source_of(3, 320));
    EXPECT_EQ(R"({"format":"convrot_w4a4","convrot_groupsize":64,"linear_dtype":"int8"})",
              plan.description());
    EXPECT_EQ(nullptr, plan.facts().remark);
}

TEST(ConvrotW4a4Plan, RefusesWithTheReason) {
    const auto reason = [](const ht_source& source, const Choices& choices = {}) {
        return refusal([&] { Plan(source, choices); });
    };
    EXPECT_EQ("", reason(source_of(1, 64)));
    EXPECT_EQ("96 columns are no multiple of 64, as its loaders need", reason(source_of(4, 96)));
    EXPECT_EQ("rotation_group is 128, which is no power of 4",
              reason(source_of(4, 128), {{"rotation_group", "128"}}));
    EXPECT_EQ("it has no elements", reason(source_of(0, 64)));
    EXPECT_EQ("convrot_w4a4 has no other layout than ComfyUI's",
              reason(source_of(4, 64, HT_DIALECT_BITSANDBYTES)));
    EXPECT_NE("", reason(source_of(4, 64, HT_DIALECT_COMFY, HT_WANTS_COLUMNS)));
    EXPECT_EQ("", reason(source_of(4, 64, HT_DIALECT_COMFY, HT_WANTS_ROWS)));
}

TEST(ConvrotW4a4Recognize, ReadsTheMarker) {
    const auto read = [](const std::string& marker, const Shape& scales) {
        Layer layer(marker);
        layer.add(".weight", HT_DTYPE_I8, {4, 128}).add(".weight_scale", HT_DTYPE_F32, scales);
        const auto recognized = layer.recognized();
        EXPECT_EQ(4u, recognized.source.rows);
        EXPECT_EQ(256u, recognized.source.cols);
        const Plan plan(recognized.source, *recognized.values);
        return std::to_string(recognized.values->whole("rotation_group")) + " " +
               recognized.values->choice("linear_dtype");
    };
    EXPECT_EQ("256 int4", read(R"({"format": "convrot_w4a4"})", {4}));
    EXPECT_EQ("64 int8",
              read(R"({"format": "convrot_w4a4", "convrot_groupsize": 64, "linear_dtype": "int8"})", {4, 1}));
    EXPECT_EQ("4 int4", read(R"({"format": "convrot_w4a4", "convrot_groupsize": 4})", {4}));
    EXPECT_EQ(
        "64 int8",
        read(R"({"format": "convrot_w4a4", "params": {"convrot_groupsize": "64", "linear_dtype": "int8"}})",
             {4}));
    EXPECT_EQ("64 int4", read(R"({"format": "convrot_w4a4", "linear_dtype": "int4", "convrot_groupsize": 64.5,
                                  "params": {"convrot_groupsize": 16, "linear_dtype": "int8"}})",
                              {4}));
}

TEST(ConvrotW4a4Recognize, RefusesWhatIsNotItsOwnOrMakesNoSense) {
    const auto reason = [](const std::string& marker, ht_dtype weight = HT_DTYPE_I8,
                           const Shape& scales = {4}, ht_dtype scale = HT_DTYPE_F32) {
        Layer layer(marker);
        layer.add(".weight", weight, {4, 128}).add(".weight_scale", scale, scales);
        return refusal([&] { layer.recognized(); });
    };
    EXPECT_EQ("it is not labelled convrot_w4a4", reason(R"({"format": "int8_tensorwise"})"));
    EXPECT_EQ("it is not labelled convrot_w4a4", reason(""));
    const std::string marker = R"({"format": "convrot_w4a4"})";
    EXPECT_EQ("", reason(marker, HT_DTYPE_U8, {4}, HT_DTYPE_BF16));
    EXPECT_EQ("", reason(marker, HT_DTYPE_I8, {4}, HT_DTYPE_F16));
    EXPECT_EQ("there is no .weight_scale in floating point", reason(marker, HT_DTYPE_I8, {4}, HT_DTYPE_U8));
    EXPECT_EQ("it has no I8 matrix as its weight", reason(marker, HT_DTYPE_F16));
    EXPECT_EQ("its linear_dtype is null", reason(R"({"format": "convrot_w4a4", "linear_dtype": null})"));
    EXPECT_EQ("its scale has shape [8], not [4]", reason(marker, HT_DTYPE_I8, {8}));
    EXPECT_EQ("its linear_dtype is \"fp8\"", reason(R"({"format": "convrot_w4a4", "linear_dtype": "fp8"})"));
    for (const char* group : {"0", "-4", "32", "1024"})
        EXPECT_EQ(
            "its marker says that it is rotated in groups of " + std::string(group) + ", which cannot be",
            reason(R"({"format": "convrot_w4a4", "convrot_groupsize": )" + std::string(group) + "}"));
}

TEST(ConvrotW4a4Load, RefusesScalesThatAreNone) {
    const Plan plan(source_of(2, 64));
    for (const float bad : {-1.0f, NAN, INFINITY}) {
        EXPECT_NE("", refusal([&] { plan.load({{}, bytes_of(std::vector{1.0f, bad})}); }));
    }
    EXPECT_EQ("there is no .weight_scale", refusal([&] { plan.load({{}, {}}); }));
}

}  // namespace
}  // namespace halftone::format_test
