#include "core/plan/metadata.hpp"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(PythonJson, HasTheSpacesAndTheOrderThatPythonWrites) {
    Json value;
    value["format"] = "int8";
    value["group_size"] = 128;
    value["params"] = {{"a", {1, 2}}, {"b", true}};
    value["none"] = Json::object();
    EXPECT_EQ(python_json(value),
              R"({"format": "int8", "group_size": 128, "params": {"a": [1, 2], "b": true}, "none": {}})");
}

TEST(PythonJson, EscapesNames) {
    EXPECT_EQ(python_json(Json{{"a\"b\n", "ü"}}), "{\"a\\\"b\\n\": \"ü\"}");
}

Json layers_of(const Metadata& metadata) {
    for (const auto& [key, value] : metadata)
        if (key == "_quantization_metadata") return Json::parse(value)["layers"];
    return {};
}

TEST(OutputMetadata, KeepsWhatIsStillTrueInItsOrder) {
    const Metadata input = {
        {"b", "2"}, {"sshs_legacy_hash", "x"}, {"a", "1"}, {"modelspec.hash_sha256", "y"}};
    EXPECT_EQ(output_metadata(input, {input}, {}), (Metadata{{"b", "2"}, {"a", "1"}}));
}

TEST(OutputMetadata, MergesEntriesOfLayersThatStayWithNewOnes) {
    const Metadata input = {
        {"_quantization_metadata",
         R"({"format_version": "1.0", "layers": {"stays": {"format": "x"}, "goes": {"format": "y"},
                             "changes": {"format": "z"}}})"}};
    LayerChanges changes;
    changes.touched = {"goes", "changes"};
    changes.written["changes"] = Json{{"format", "new"}};
    const Json layers = layers_of(output_metadata(input, {input}, changes));
    EXPECT_EQ(layers.size(), 2u);
    EXPECT_EQ(layers["stays"]["format"], "x");
    EXPECT_EQ(layers["changes"]["format"], "new");
}

TEST(OutputMetadata, EntriesKeepTheOrderInWhichTheyCameFirst) {
    const auto of = [](const std::string& layers) {
        return Metadata{{"_quantization_metadata", R"({"format_version": "1.0", "layers": )" + layers + "}"}};
    };
    LayerChanges changes;
    changes.written["a"] = Json{{"format", "new"}};
    changes.written["e"] = Json{{"format", "new"}};
    const Metadata first = of(R"({"d": {"n": 1}, "b": {"n": 2}, "a": {"n": 3}})"),
                   second = of(R"({"c": {"n": 4}, "b": {"n": 5}})");
    EXPECT_EQ(output_metadata(first, {first, second}, changes).back().second,
              R"({"format_version": "1.0", "layers": {"d": {"n": 1}, "b": {"n": 5}, "a": {"format": "new"}, )"
              R"("c": {"n": 4}, "e": {"format": "new"}}})");
}

TEST(OutputMetadata, KeepsTheEntryToTheByteWhereItStaysTrue) {
    const Metadata input = {
        {"a", "1"},
        {"_quantization_metadata", R"({"layers":{"stays": {"format":"x"}},  "format_version": "2.0"})"},
        {"b", "2"}};
    LayerChanges changes;
    changes.touched = {"another"};
    EXPECT_EQ(output_metadata(input, {input}, changes), input);
    changes.written["another"] = Json{{"format", "y"}};
    const Metadata merged = output_metadata(input, {input}, changes);
    EXPECT_EQ(Json::parse(merged.back().second)["format_version"], "2.0");
    EXPECT_EQ(layers_of(merged).size(), 2u);
}

TEST(OutputMetadata, CollectsTheEntriesOfAllShards) {
    const auto shard = [](const std::string& layer) {
        return Metadata{{"_quantization_metadata", R"({"layers": {")" + layer + R"(": {"format": "x"}}})"}};
    };
    const Json layers = layers_of(output_metadata(shard("a"), {shard("a"), shard("b")}, {}));
    EXPECT_TRUE(layers.contains("a"));
    EXPECT_TRUE(layers.contains("b"));
}

TEST(OutputMetadata, ReplacesAnEntryThatIsNoJson) {
    const Metadata input = {{"_quantization_metadata", "{broken"}};
    LayerChanges changes;
    changes.written["a"] = Json{{"format", "new"}};
    EXPECT_EQ(layers_of(output_metadata(input, {input}, changes)).size(), 1u);
}

TEST(SetMetadata, ReplacesOrAppends) {
    Metadata metadata = {{"a", "1"}};
    set_metadata(metadata, "a", "2");
    set_metadata(metadata, "b", "3");
    EXPECT_EQ(metadata, (Metadata{{"a", "2"}, {"b", "3"}}));
}

}  // namespace
}  // namespace halftone
