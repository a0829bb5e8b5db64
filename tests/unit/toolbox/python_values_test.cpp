// Markers are read as Python reads them: what counts as true, and what int() makes of a value.

#include <gtest/gtest.h>

#include <halftone/toolbox/python_values.hpp>
#include <halftone/toolbox/stored_layer.hpp>

namespace halftone::toolbox {
namespace {

TEST(PythonTruth, IsFalseForNothingAndZeroAlone) {
    for (const char* json :
         {"null", "false", "0", "-0", "0.0", "-0.0", "0e5", "1e-400", "\"\"", "[]", "[ ]", "{}", "{\n}"})
        EXPECT_FALSE(python_truth(json)) << json;
    for (const char* json :
         {"true", "1", "-1", "0.5", "1e-300", "1e400", "NaN", "Infinity", "-Infinity",
          "12345678901234567890123", "\"yes\"", "\"false\"", "\"0\"", "\" \"", "[0]", "[null]", "{\"a\": 0}"})
        EXPECT_TRUE(python_truth(json)) << json;
}

TEST(PythonInt, TakesTextAndCutsFractionsOff) {
    const std::pair<const char*, int64_t> whole[] = {
        {"256", 256},    {"-4", -4},       {"64.0", 64},      {"64.9", 64},     {"-1.9", -1},
        {"2.56e2", 256}, {"true", 1},      {"false", 0},      {"\"256\"", 256}, {"\" 64 \"", 64},
        {"\"+16\"", 16}, {"\"-16\"", -16}, {"\"2_56\"", 256}, {"\"007\"", 7}};
    for (const auto& [json, number] : whole)
        EXPECT_EQ(python_int(json), std::optional<int64_t>(number)) << json;
    for (const char* json : {"null", "[]", "[256]", "{}", "NaN", "Infinity", "1e400", "\"\"", "\" \"",
                             "\"x\"", "\"64.0\"", "\"6 4\"", "\"_64\"", "\"64_\"", "\"6__4\"", "\"+\"",
                             "\"--4\"", "12345678901234567890123", "\"0x10\""})
        EXPECT_EQ(python_int(json), std::nullopt) << json;
}

ht_layer with(const char* marker) {
    ht_layer layer{};
    layer.size = sizeof layer;
    layer.name = "x";
    layer.marker = marker;
    return layer;
}

TEST(StoredLayers, LookAtTheRootBeforeParams) {
    const ht_layer text =
        with(R"({"a": "64", "b": null, "c": 0, "params": {"a": 1, "b": true, "c": 1, "d": 2.5}})");
    const StoredLayer layer(text);
    EXPECT_EQ(layer.number("a"), std::optional<int64_t>(64));
    EXPECT_EQ(layer.number_or("d", 7), 2);
    EXPECT_EQ(layer.number_or("e", 7), 7);
    EXPECT_TRUE(layer.is_set("a"));
    EXPECT_FALSE(layer.is_set("b")) << "what stands at the root hides the other";
    EXPECT_FALSE(layer.is_set("c"));
    EXPECT_TRUE(layer.is_set("d"));
    EXPECT_EQ(layer.number("b"), std::nullopt);
    EXPECT_THROW(layer.number_or("b", 7), Refused);
    const ht_layer list = with(R"({"params": [1]})");
    EXPECT_FALSE(StoredLayer(list).is_set("a"));
}

TEST(StoredLayers, ReadTheWishForFullPrecisionAtTheRootAlone) {
    const auto wants = [](const char* marker) {
        const ht_layer layer = with(marker);
        return StoredLayer(layer).wants_full_precision();
    };
    EXPECT_EQ(wants(R"({"full_precision_matrix_mult": 1})"), uint32_t{HT_WANTS_FULL_PRECISION_MM});
    EXPECT_EQ(wants(R"({"full_precision_matrix_mult": "false"})"), uint32_t{HT_WANTS_FULL_PRECISION_MM});
    EXPECT_EQ(wants(R"({"full_precision_matrix_mult": 0})"), 0u);
    EXPECT_EQ(wants(R"({"params": {"full_precision_matrix_mult": true}})"), 0u);
}

}  // namespace
}  // namespace halftone::toolbox
