// What the plugin says without weights: descriptor, plan, description, recognition, refusals.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "tests/unit/fp8/plugin_under_test.hpp"

namespace halftone::fp8_test {
namespace {

template <class Work>
std::string reason_of(Work&& work) {
    try {
        work();
    } catch (const std::exception& reason) {
        return reason.what();
    }
    return "not refused";
}

std::string refusal(const ht_source& source, const std::string& element = "e4m3fn",
                    const std::string& scale_per = "tensor") {
    return reason_of([&] { const Plan plan(source, Values(element, scale_per)); });
}

std::vector<uint64_t> shape_of(const ht_stored& stored) {
    return {stored.shape, stored.shape + stored.rank};
}
using Shape = std::vector<uint64_t>;

TEST(Descriptor, NamesThePlugin) {
    EXPECT_STREQ("fp8", descriptor().id);
    EXPECT_EQ(HT_KIND_FORMAT, descriptor().kind);
    EXPECT_STREQ("MIT", descriptor().license);
    EXPECT_EQ("e4m3fn", Values().choice("element"));
    EXPECT_EQ("tensor", Values().choice("scale_per"));
}

TEST(Descriptor, HasEveryLabelThatPlansWrite) {
    std::map<std::string, std::string> loaders;
    for (uint64_t i = 0; i < table().n_labels; ++i)
        loaders[table().labels[i]->label] = table().labels[i]->loaders;
    for (const char* element : {"e4m3fn", "e5m2"})
        for (const char* scale_per : {"tensor", "row"}) {
            const Plan plan(source_of(4, 4), Values(element, scale_per));
            const std::string label = plan.description().substr(std::string("format=").size());
            ASSERT_TRUE(loaders.contains(label)) << label;
        }
    EXPECT_EQ("comfyui>=2025-12; comfyui-fork", loaders["float8_e4m3fn"]);
    EXPECT_EQ("comfyui>=2026-01", loaders["float8_e5m2"]);
    EXPECT_EQ("comfyui-fork", loaders["float8_e4m3fn_rowwise"]);
    EXPECT_EQ("", loaders["float8_e5m2_rowwise"]);
}

TEST(PlanOfFp8, StoresOneScaleAsAScalar) {
    const Plan plan(source_of(6, 10), Values());
    const ht_facts& facts = plan.facts();
    ASSERT_EQ(2u, facts.n_stored);
    EXPECT_STREQ(".weight", facts.stored[0]->name);
    EXPECT_EQ(HT_DTYPE_F8_E4M3, facts.stored[0]->dtype);
    EXPECT_EQ((Shape{6, 10}), shape_of(*facts.stored[0]));
    EXPECT_STREQ(".weight_scale", facts.stored[1]->name);
    EXPECT_EQ(HT_DTYPE_F32, facts.stored[1]->dtype);
    EXPECT_EQ(Shape{}, shape_of(*facts.stored[1]));
    EXPECT_EQ(HT_SCALE_TENSOR, facts.scale_kind);
    EXPECT_EQ(1u, facts.passes);
    EXPECT_EQ(10u, facts.granule_rows * facts.granule_bytes);
    EXPECT_EQ(HT_INPUT_SCALE_ALLOWED, facts.input_scale);
}

TEST(PlanOfFp8, StoresAScalePerRow) {
    const Plan plan(source_of(6, 10), Values("e5m2", "row"));
    const ht_facts& facts = plan.facts();
    EXPECT_EQ(HT_DTYPE_F8_E5M2, facts.stored[0]->dtype);
    EXPECT_EQ(Shape{6}, shape_of(*facts.stored[1]));
    EXPECT_EQ(HT_SCALE_ROW, facts.scale_kind);
    EXPECT_EQ(0u, facts.passes);
}

TEST(PlanOfFp8, OfTheLegacyLayoutHasAMarkerForTheFile) {
    for (const uint32_t wants : {0u, uint32_t{HT_WANTS_FULL_PRECISION_MM}}) {
        const Plan plan(source_of(6, 10, HT_DIALECT_LEGACY, wants), Values());
        ASSERT_EQ(3u, plan.facts().n_stored);
        EXPECT_STREQ(".scale_weight", plan.facts().stored[1]->name);
        const ht_stored& marker = *plan.facts().stored[2];
        EXPECT_STREQ("scaled_fp8", marker.name);
        EXPECT_EQ(HT_SCOPE_FILE, marker.scope);
        EXPECT_EQ(HT_DTYPE_F8_E4M3, marker.dtype);
        EXPECT_EQ(Shape{wants ? 2u : 0u}, shape_of(marker));
        uint8_t bytes[3] = {7, 7, 7};
        ht_error error{};
        ASSERT_EQ(HT_OK, table().companion(plan.get(), plan.make_grid().get(), 2, bytes, &error));
        EXPECT_EQ(wants ? 0 : 7, bytes[1]);
        EXPECT_EQ(7, bytes[2]);
    }
}

TEST(PlanOfFp8, DescribesItself) {
    EXPECT_EQ("format=float8_e4m3fn", Plan(source_of(2, 2), Values()).description());
    EXPECT_EQ("format=float8_e4m3fn_rowwise full_precision_matrix_mult=true",
              Plan(source_of(2, 2, HT_DIALECT_COMFY, HT_WANTS_FULL_PRECISION_MM), Values("e4m3fn", "row"))
                  .description());
    EXPECT_EQ("format=float8_e5m2", Plan(source_of(2, 2), Values("e5m2")).description());
}

TEST(PlanOfFp8, RefusesWhatItCannotStoreAndSaysWhy) {
    ht_source conv = source_of(2, 2);
    conv.rank = 4;
    EXPECT_EQ("fp8 takes plain matrices, and this has 4 dimensions", refusal(conv));
    ht_source experts = source_of(2, 2);
    experts.rank = 3;
    experts.experts = 8;
    EXPECT_EQ("fp8 takes plain matrices, and this has 3 dimensions", refusal(experts));
    EXPECT_EQ("it has no elements", refusal(source_of(0, 8)));
    EXPECT_EQ("it has no elements", refusal(source_of(8, 0)));
    EXPECT_EQ("bitsandbytes stores no fp8 weights", refusal(source_of(2, 2, HT_DIALECT_BITSANDBYTES)));
    const std::string legacy =
        "loaders of the legacy layout take every weight for e4m3fn with one scale per tensor";
    EXPECT_EQ(legacy, refusal(source_of(2, 2, HT_DIALECT_LEGACY), "e5m2"));
    EXPECT_EQ(legacy, refusal(source_of(2, 2, HT_DIALECT_LEGACY), "e4m3fn", "row"));
}

TEST(PlanOfFp8, RefusesToLoadScalesThatAreNone) {
    const Plan plan(source_of(3, 2), Values("e4m3fn", "row"));
    EXPECT_EQ("there is no .weight_scale", reason_of([&] { plan.load({}); }));
    for (const float bad : {-1.0f, NAN, INFINITY})
        EXPECT_TRUE(reason_of([&] {
                        plan.load({1.0f, bad, 1.0f});
                    }).starts_with("element 1 of .weight_scale is "));
}

// A scale of 0 occurs in files of writers without a floor; one whose inverse overflows is as good as 0.
TEST(PlanOfFp8, TakesScalesThatVanish) {
    const Plan plan(source_of(3, 2), Values("e4m3fn", "row"));
    const Matrix points{3, 2, {1.0f, -1.0f, 1e-30f, 2.0f, 0.0f, -0.5f}};
    for (const float tiny : {0.0f, 1e-40f, FLT_MIN / 2}) {
        const Grid grid = plan.load({tiny, tiny, tiny});
        EXPECT_EQ(std::vector<uint8_t>(6, 0), plan.encode(grid, points));
        for (const float value : plan.snap(grid, points).values)
            EXPECT_EQ(0.0f, value);
        Matrix sigma = points;
        const ht_region region = whole(points);
        const ht_view view = view_of(sigma);
        table().sigma(plan.get(), grid.get(), &region, &view);
        EXPECT_EQ(std::vector<float>(6, 1.0f), sigma.values);
    }
    EXPECT_NE(std::vector<uint8_t>(6, 0), plan.encode(plan.load({FLT_MIN, FLT_MIN, FLT_MIN}), points));
}

// ------------------------------------------------------------------------------------------- recognition
struct Found {
    std::string name;
    ht_dtype dtype;
    Shape shape;
};

struct Recognized {
    std::string element, scale_per;
    ht_source source{};
};

// "refused: ..." in place of an answer.
std::string recognize(const std::vector<Found>& found, const char* marker, Recognized* out = nullptr) {
    std::vector<ht_tensor> tensors;
    tensors.reserve(found.size());
    for (const Found& one : found) {
        ht_tensor tensor{};
        tensor.size = sizeof tensor;
        tensor.dtype = one.dtype;
        tensor.name = one.name.c_str();
        tensor.rank = static_cast<uint32_t>(one.shape.size());
        std::copy(one.shape.begin(), one.shape.end(), tensor.shape);
        tensors.push_back(tensor);
    }
    std::vector<const ht_tensor*> at;
    at.reserve(found.size());
    for (const ht_tensor& tensor : tensors)
        at.push_back(&tensor);
    const std::vector<const uint8_t*> bytes(tensors.size());
    const ht_layer layer{
        sizeof layer, static_cast<uint32_t>(at.size()), "blocks.0.qkv", at.data(), bytes.data(), marker};
    Values values;
    Recognized result;
    result.source.size = sizeof result.source;
    ht_error error{};
    error.size = sizeof error;
    const ht_status status = table().recognize(&layer, values.writable(), &result.source, &error);
    if (status != HT_OK) return (status == HT_REFUSED ? "refused: " : "failed: ") + std::string(error.text);
    result.element = values.choice("element");
    result.scale_per = values.choice("scale_per");
    if (out) *out = result;
    // What was recognized must make a plan whose stored tensors are those that were found.
    const Plan plan(result.source, values);
    for (uint64_t i = 0; i < plan.facts().n_stored; ++i) {
        const ht_stored& stored = *plan.facts().stored[i];
        if (stored.scope != HT_SCOPE_LAYER) continue;
        bool there = false;
        for (const Found& one : found)
            there |= one.name == layer.name + std::string(stored.name) && one.dtype == stored.dtype;
        EXPECT_TRUE(there) << stored.name;
    }
    return result.element + " " + result.scale_per;
}

std::vector<Found> layer_of(Shape scale, ht_dtype dtype = HT_DTYPE_F8_E4M3,
                            const std::string& suffix = ".weight_scale") {
    return {{"blocks.0.qkv.bias", HT_DTYPE_BF16, {6}},
            {"blocks.0.qkv.weight", dtype, {6, 10}},
            {"blocks.0.qkv" + suffix, HT_DTYPE_F32, std::move(scale)}};
}

TEST(RecognizeFp8, ByTheShapeOfTheScale) {
    EXPECT_EQ("e4m3fn tensor", recognize(layer_of({}), R"({"format": "float8_e4m3fn"})"));
    EXPECT_EQ("e4m3fn tensor", recognize(layer_of({1}), R"({"format": "float8_e4m3fn"})"));
    EXPECT_EQ("e4m3fn row", recognize(layer_of({6}), R"({"format": "float8_e4m3fn_rowwise"})"));
    EXPECT_EQ("e4m3fn row", recognize(layer_of({6, 1}), R"({"format": "float8_e4m3fn_rowwise"})"));
    EXPECT_EQ("e5m2 tensor", recognize(layer_of({}, HT_DTYPE_F8_E5M2), R"({"format": "float8_e5m2"})"));
    // Some writers keep the rowwise label over a single scale.
    EXPECT_EQ("e4m3fn tensor", recognize(layer_of({1}), R"({"format": "float8_e4m3fn_rowwise"})"));
}

TEST(RecognizeFp8, WithoutAMarker) {
    EXPECT_EQ("e4m3fn tensor", recognize(layer_of({}), nullptr));
    EXPECT_EQ("e5m2 row", recognize(layer_of({6}, HT_DTYPE_F8_E5M2), nullptr));
}

TEST(RecognizeFp8, TheSource) {
    Recognized found;
    ASSERT_EQ("e4m3fn tensor",
              recognize(layer_of({}), R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})",
                        &found));
    EXPECT_EQ(HT_DTYPE_F8_E4M3, found.source.dtype);
    EXPECT_EQ(HT_DIALECT_COMFY, found.source.dialect);
    EXPECT_EQ(uint32_t{HT_WANTS_FULL_PRECISION_MM}, found.source.wants);
    EXPECT_EQ(6u, found.source.rows);
    EXPECT_EQ(10u, found.source.cols);
    EXPECT_EQ(2u, found.source.rank);
    EXPECT_EQ(1u, found.source.experts);
}

TEST(RecognizeFp8, TheLegacyLayout) {
    Recognized found;
    auto layer = layer_of({1}, HT_DTYPE_F8_E4M3, ".scale_weight");
    ASSERT_EQ("e4m3fn tensor", recognize(layer, nullptr, &found));
    EXPECT_EQ(HT_DIALECT_LEGACY, found.source.dialect);
    EXPECT_EQ(0u, found.source.wants);
    layer.push_back({"model.diffusion_model.scaled_fp8", HT_DTYPE_F8_E4M3, {2}});
    ASSERT_EQ("e4m3fn tensor", recognize(layer, nullptr, &found));
    EXPECT_EQ(uint32_t{HT_WANTS_FULL_PRECISION_MM}, found.source.wants);
    EXPECT_EQ("refused: the legacy layout has e4m3fn weights with one scale each, and nothing else",
              recognize(layer_of({6}, HT_DTYPE_F8_E4M3, ".scale_weight"), nullptr));
}

TEST(RecognizeFp8, LeavesOthersAlone) {
    EXPECT_EQ("refused: its weight is not 8-bit floating point",
              recognize(layer_of({}, HT_DTYPE_I8), R"({"format": "int8_tensorwise"})"));
    EXPECT_EQ("refused: its format is 'mxfp8'", recognize(layer_of({6}), R"({"format": "mxfp8"})"));
    EXPECT_EQ("refused: its weight has no scale",
              recognize({{"blocks.0.qkv.weight", HT_DTYPE_F8_E4M3, {6, 10}}}, nullptr));
    EXPECT_EQ("refused: it has no matrix as its weight",
              recognize({{"blocks.0.qkv.weight", HT_DTYPE_F8_E4M3, {6}}}, nullptr));
    // Dummy scales beside a weight that was left alone.
    EXPECT_EQ("refused: its weight is not 8-bit floating point",
              recognize(layer_of({1}, HT_DTYPE_BF16, ".scale_weight"), nullptr));
}

TEST(RecognizeFp8, NamesContradictions) {
    EXPECT_EQ("refused: its marker says 'float8_e5m2', but the weight is stored as e4m3fn",
              recognize(layer_of({}), R"({"format": "float8_e5m2"})"));
    EXPECT_EQ("refused: 'float8_e4m3fn' stands for one scale, but there are 6",
              recognize(layer_of({6}), R"({"format": "float8_e4m3fn"})"));
    EXPECT_EQ("refused: its scale has shape [6, 5], neither one number nor one of 6 rows",
              recognize(layer_of({6, 5}), nullptr));
    EXPECT_EQ("refused: its marker is no JSON object", recognize(layer_of({}), "{\"format\": "));
    EXPECT_EQ("refused: its marker names no format", recognize(layer_of({}), "{}"));
    auto layer = layer_of({});
    layer[2].dtype = HT_DTYPE_BF16;
    EXPECT_EQ("refused: its scale is not stored as F32", recognize(layer, nullptr));
}

}  // namespace
}  // namespace halftone::fp8_test
