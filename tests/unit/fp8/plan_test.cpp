// What the plugin says without weights: descriptor, plan, description, recognition, refusals.

#include <cfloat>
#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

using Shape = std::vector<uint64_t>;

std::string reason(const ht_source& source, const std::string& element = "e4m3fn",
                   const std::string& scaling = "tensor") {
    return refusal([&] { Plan(source, {{"element", element}, {"scaling", scaling}}); });
}

TEST(Fp8Plan, SaysWhichOptionIsGoodForNothing) {
    EXPECT_STREQ("without blocks: block_size needs another scaling",
                 Plan(source_of(64, 64), {{"block_size", "32"}}).facts().remark);
    EXPECT_EQ(nullptr,
              Plan(source_of(64, 64), {{"block_size", "32"}, {"scaling", "block3d"}}).facts().remark);
    EXPECT_EQ(nullptr, Plan(source_of(64, 64)).facts().remark);
}

TEST(Descriptor, NamesThePlugin) {
    EXPECT_STREQ("fp8", descriptor().id);
    EXPECT_EQ(HT_KIND_FORMAT, descriptor().kind);
    EXPECT_STREQ("MIT", descriptor().license);
    EXPECT_EQ("e4m3fn", Values().choice("element"));
    EXPECT_EQ("tensor", Values().choice("scaling"));
}

TEST(Descriptor, HasEveryLabelThatPlansWrite) {
    std::map<std::string, std::string> loaders;
    for (uint64_t i = 0; i < table().n_labels; ++i)
        loaders.try_emplace(table().labels[i]->label, table().labels[i]->loaders);
    for (const char* element : {"e4m3fn", "e5m2"})
        for (const char* scaling : {"tensor", "row", "block", "block3d"}) {
            const Plan plan(source_of(4, 4),
                            {{"element", element}, {"scaling", scaling}, {"block_size", "4"}});
            const std::string start = R"({"format":")", description = plan.description();
            ASSERT_TRUE(description.starts_with(start)) << description;
            const std::string label =
                description.substr(start.size(), description.find('"', start.size()) - start.size());
            ASSERT_TRUE(loaders.contains(label)) << label;
        }
    EXPECT_EQ("comfyui>=2025-12; comfyui-fork", loaders["float8_e4m3fn"]);
    EXPECT_EQ("comfyui>=2026-01", loaders["float8_e5m2"]);
    EXPECT_EQ("comfyui-fork", loaders["float8_e4m3fn_rowwise"]);
    EXPECT_EQ("", loaders["float8_e5m2_rowwise"]);
    EXPECT_EQ("comfyui-fork", loaders["float8_e4m3fn_blockwise"]);
    EXPECT_EQ("", loaders["float8_e5m2_blockwise"]);
}

TEST(Descriptor, PromisesNoLoaderForGroupsOfARow) {
    int seen = 0;
    for (uint64_t i = 0; i < table().n_labels; ++i) {
        const ht_label& label = *table().labels[i];
        if (!std::string(label.options).ends_with("scaling=block3d")) continue;
        ++seen;
        EXPECT_STREQ("", label.loaders);
        EXPECT_STRNE("", label.remark);
    }
    EXPECT_EQ(2, seen);
}

TEST(PlanOfFp8, StoresOneScaleAsAScalar) {
    const Plan plan(source_of(6, 10));
    const ht_facts& facts = plan.facts();
    ASSERT_EQ(2u, facts.n_stored);
    EXPECT_STREQ(".weight", facts.stored[0]->name);
    EXPECT_EQ(HT_DTYPE_F8_E4M3, facts.stored[0]->dtype);
    EXPECT_EQ((Shape{6, 10}), plan.shape(".weight"));
    EXPECT_STREQ(".weight_scale", facts.stored[1]->name);
    EXPECT_EQ(HT_DTYPE_F32, facts.stored[1]->dtype);
    EXPECT_EQ(Shape{}, plan.shape(".weight_scale"));
    EXPECT_EQ(HT_SCALE_TENSOR, facts.scale_kind);
    EXPECT_EQ(1u, facts.passes);
    EXPECT_EQ(10u, facts.granule_rows * facts.granule_bytes);
    EXPECT_EQ(HT_INPUT_SCALE_ALLOWED, facts.input_scale);
}

TEST(PlanOfFp8, StoresAScalePerRow) {
    const Plan plan(source_of(6, 10), {{"element", "e5m2"}, {"scaling", "row"}});
    const ht_facts& facts = plan.facts();
    EXPECT_EQ(HT_DTYPE_F8_E5M2, facts.stored[0]->dtype);
    EXPECT_EQ(Shape{6}, plan.shape(".weight_scale"));
    EXPECT_EQ(HT_SCALE_ROW, facts.scale_kind);
    EXPECT_EQ(0u, facts.passes);
}

TEST(PlanOfFp8, StoresAScalePerTile) {
    const Plan plan(source_of(6, 12), {{"scaling", "block"}, {"block_size", "3"}});
    EXPECT_EQ((Shape{2, 4}), plan.shape(".weight_scale"));
    EXPECT_EQ(HT_SCALE_TILE, plan.facts().scale_kind);
    EXPECT_EQ(3u, plan.facts().scale_rows);
    EXPECT_EQ(3u, plan.facts().scale_cols);
    EXPECT_EQ(3u, plan.facts().granule_rows);
    EXPECT_EQ(R"({"format":"float8_e4m3fn_blockwise","group_size":3,"params":{"group_size":3}})",
              plan.description());
}

TEST(PlanOfFp8, StoresAScalePerGroupOfARow) {
    const Plan plan(source_of(7, 12), {{"element", "e5m2"}, {"scaling", "block3d"}, {"block_size", "3"}});
    EXPECT_EQ((Shape{7, 4, 1}), plan.shape(".weight_scale"));
    EXPECT_EQ(HT_SCALE_TILE, plan.facts().scale_kind);
    EXPECT_EQ(1u, plan.facts().scale_rows);
    EXPECT_EQ(3u, plan.facts().scale_cols);
    EXPECT_EQ(R"({"format":"float8_e5m2","group_size":3,"params":{"group_size":3}})", plan.description());
}

TEST(PlanOfFp8, OfTheLegacyLayoutHasAMarkerForTheFile) {
    for (const uint32_t wants : {0u, uint32_t{HT_WANTS_FULL_PRECISION_MM}}) {
        const Plan plan(source_of(6, 10, HT_DIALECT_LEGACY, wants));
        ASSERT_EQ(3u, plan.facts().n_stored);
        EXPECT_STREQ(".scale_weight", plan.facts().stored[1]->name);
        const ht_stored& marker = *plan.facts().stored[2];
        EXPECT_STREQ("scaled_fp8", marker.name);
        EXPECT_EQ(HT_SCOPE_FILE, marker.scope);
        EXPECT_EQ(HT_DTYPE_F8_E4M3, marker.dtype);
        EXPECT_EQ(Shape{wants ? 2u : 0u}, plan.shape("scaled_fp8"));
        uint8_t bytes[3] = {7, 7, 7};
        ht_error error{};
        ASSERT_EQ(HT_OK, table().companion(plan.get(), plan.make_grid().get(), 2, bytes, &error));
        EXPECT_EQ(wants ? 0 : 7, bytes[1]);
        EXPECT_EQ(7, bytes[2]);
    }
}

TEST(PlanOfFp8, DescribesItself) {
    EXPECT_EQ(R"({"format":"float8_e4m3fn"})", Plan(source_of(2, 2)).description());
    EXPECT_EQ(R"({"format":"float8_e4m3fn_rowwise","full_precision_matrix_mult":true})",
              Plan(source_of(2, 2, HT_DIALECT_COMFY, HT_WANTS_FULL_PRECISION_MM), {{"scaling", "row"}})
                  .description());
    EXPECT_EQ(R"({"format":"float8_e5m2"})", Plan(source_of(2, 2), {{"element", "e5m2"}}).description());
}

TEST(PlanOfFp8, RefusesWhatItCannotStoreAndSaysWhy) {
    ht_source conv = source_of(2, 2);
    conv.rank = 4;
    EXPECT_EQ("fp8 takes plain matrices, and this has 4 dimensions", reason(conv));
    ht_source experts = source_of(2, 2);
    experts.rank = 3;
    EXPECT_EQ("fp8 takes plain matrices, and this has 3 dimensions", reason(experts));
    experts.experts = 8;
    EXPECT_EQ("no loader takes stacks of experts that are stored so", reason(experts, "e4m3fn", "row"));
    EXPECT_EQ("it has no elements", reason(source_of(0, 8)));
    EXPECT_EQ("it has no elements", reason(source_of(8, 0)));
    EXPECT_EQ("bitsandbytes stores no fp8 weights", reason(source_of(2, 2, HT_DIALECT_BITSANDBYTES)));
    EXPECT_EQ("100 columns are no multiple of the block size, 64",
              reason(source_of(64, 100), "e4m3fn", "block3d"));
    EXPECT_EQ("", reason(source_of(100, 64), "e4m3fn", "block3d"));
    EXPECT_EQ("100 rows are no multiple of the block size, 64", reason(source_of(100, 64), "e5m2", "block"));
    const std::string legacy =
        "loaders of the legacy layout take every weight for e4m3fn with one scale per tensor";
    EXPECT_EQ(legacy, reason(source_of(2, 2, HT_DIALECT_LEGACY), "e5m2"));
    EXPECT_EQ(legacy, reason(source_of(2, 2, HT_DIALECT_LEGACY), "e4m3fn", "row"));
}

TEST(PlanOfFp8, RefusesToLoadScalesThatAreNone) {
    const Plan plan(source_of(3, 2), {{"scaling", "row"}});
    EXPECT_EQ("there is no .weight_scale", refusal([&] { plan.load({{}, {}}); }));
    for (const float bad : {-1.0f, NAN, INFINITY})
        EXPECT_TRUE(refusal([&] {
                        plan.load({{}, bytes_of(std::vector{1.0f, bad, 1.0f})});
                    }).starts_with("element 1 of .weight_scale is "));
}

// A scale of 0 occurs in files of writers without a floor; one whose inverse overflows is as good as 0.
TEST(PlanOfFp8, TakesScalesThatVanish) {
    const Plan plan(source_of(3, 2), {{"scaling", "row"}});
    const Matrix points{3, 2, {1.0f, -1.0f, 1e-30f, 2.0f, 0.0f, -0.5f}};
    for (const float tiny : {0.0f, 1e-40f, FLT_MIN / 2}) {
        const Grid grid = plan.load({{}, bytes_of(std::vector(3, tiny))});
        EXPECT_EQ(Bytes(6, 0), plan.encode(grid, points));
        for (const float value : plan.snap(grid, points).values)
            EXPECT_EQ(0.0f, value);
        EXPECT_EQ(std::vector<float>(6, 1.0f), plan.sigma(grid).values);
    }
    EXPECT_NE(Bytes(6, 0), plan.encode(plan.load({{}, bytes_of(std::vector(3, FLT_MIN))}), points));
}

// ------------------------------------------------------------------------------------------- recognition
// "refused: ..." in place of an answer.
std::string recognize(const Layer& layer, ht_source* source = nullptr) {
    std::string answer;
    const std::string reason = refusal([&] {
        const auto recognized = layer.recognized();
        if (source) *source = recognized.source;
        answer = recognized.values->choice("element") + " " + recognized.values->choice("scaling");
        if (answer.find("block") != std::string::npos)
            answer += " " + std::to_string(recognized.values->whole("block_size"));
        // What was recognized must make a plan whose stored tensors are those that were found.
        const Plan plan(recognized.source, *recognized.values);
        for (uint64_t i = 0; i < plan.facts().n_stored; ++i) {
            const ht_stored& stored = *plan.facts().stored[i];
            if (stored.scope != HT_SCOPE_LAYER) continue;
            EXPECT_TRUE(layer.has(stored.name, stored.dtype)) << stored.name;
        }
    });
    return reason.empty() ? answer : "refused: " + reason;
}

Layer layer_with(const Shape& scale, const std::string& marker = "", ht_dtype dtype = HT_DTYPE_F8_E4M3,
                 const std::string& suffix = ".weight_scale", ht_dtype scale_dtype = HT_DTYPE_F32) {
    Layer layer(marker);
    layer.add(".bias", HT_DTYPE_BF16, {6}).add(".weight", dtype, {6, 10}).add(suffix, scale_dtype, scale);
    return layer;
}

TEST(RecognizeFp8, ByTheShapeOfTheScale) {
    EXPECT_EQ("e4m3fn tensor", recognize(layer_with({}, R"({"format": "float8_e4m3fn"})")));
    EXPECT_EQ("e4m3fn tensor", recognize(layer_with({1}, R"({"format": "float8_e4m3fn"})")));
    EXPECT_EQ("e4m3fn row", recognize(layer_with({6}, R"({"format": "float8_e4m3fn_rowwise"})")));
    EXPECT_EQ("e4m3fn row", recognize(layer_with({6, 1}, R"({"format": "float8_e4m3fn_rowwise"})")));
    EXPECT_EQ("e5m2 tensor", recognize(layer_with({}, R"({"format": "float8_e5m2"})", HT_DTYPE_F8_E5M2)));
    // Some writers keep the rowwise label over a single scale.
    EXPECT_EQ("e4m3fn tensor", recognize(layer_with({1}, R"({"format": "float8_e4m3fn_rowwise"})")));
}

TEST(RecognizeFp8, TilesAndGroupsWhateverTheLabel) {
    const std::string blockwise = R"({"format": "float8_e4m3fn_blockwise", "group_size": 2})";
    EXPECT_EQ("e4m3fn block 2", recognize(layer_with({3, 5}, blockwise)));
    EXPECT_EQ("e4m3fn block 2",
              recognize(layer_with({3, 5},
                                   R"({"format": "float8_e4m3fn_blockwise", "params": {"group_size": 2}})")));
    EXPECT_EQ("e4m3fn block 2", recognize(layer_with({3, 5}, R"({"format": "float8_e4m3fn"})")));
    for (const char* label : {"float8_e4m3fn", "float8_e4m3fn_block3d", "float8_e4m3fn_blockwise"})
        EXPECT_EQ("e4m3fn block3d 5",
                  recognize(layer_with({6, 2, 1}, R"({"format": ")" + std::string(label) + R"("})")));
    EXPECT_EQ("e5m2 block3d 10",
              recognize(layer_with({6, 1, 1}, R"({"format": "float8_e5m2_block3d"})", HT_DTYPE_F8_E5M2)));
    // What writers fell back to where a matrix has no whole tiles or groups, under the label of tiles.
    EXPECT_EQ("e4m3fn row", recognize(layer_with({6}, blockwise)));
    EXPECT_EQ("e4m3fn tensor", recognize(layer_with({1}, blockwise)));
    EXPECT_EQ("e4m3fn tensor", recognize(layer_with({1, 1}, blockwise)));
}

TEST(RecognizeFp8, OneTileThatIsTheMatrix) {
    const auto square = [](const std::string& label) {
        Layer layer(R"({"format": ")" + label + R"("})");
        layer.add(".weight", HT_DTYPE_F8_E4M3, {8, 8}).add(".weight_scale", HT_DTYPE_F32, {1, 1});
        return recognize(layer);
    };
    EXPECT_EQ("e4m3fn block 8", square("float8_e4m3fn_blockwise"));
    EXPECT_EQ("e4m3fn tensor", square("float8_e4m3fn"));
}

TEST(RecognizeFp8, WithoutAMarker) {
    EXPECT_EQ("e4m3fn block 2", recognize(layer_with({3, 5})));
    EXPECT_EQ("e4m3fn tensor", recognize(layer_with({})));
    EXPECT_EQ("e5m2 row", recognize(layer_with({6}, "", HT_DTYPE_F8_E5M2)));
}

TEST(RecognizeFp8, TheSource) {
    ht_source found{};
    const auto layer = layer_with({}, R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})");
    ASSERT_EQ("e4m3fn tensor", recognize(layer, &found));
    EXPECT_EQ(HT_DTYPE_F8_E4M3, found.dtype);
    EXPECT_EQ(HT_DIALECT_COMFY, found.dialect);
    EXPECT_EQ(uint32_t{HT_WANTS_FULL_PRECISION_MM}, found.wants);
    EXPECT_EQ(6u, found.rows);
    EXPECT_EQ(10u, found.cols);
    EXPECT_EQ(2u, found.rank);
    EXPECT_EQ(1u, found.experts);
}

TEST(RecognizeFp8, TheLegacyLayout) {
    ht_source found{};
    auto layer = layer_with({1}, "", HT_DTYPE_F8_E4M3, ".scale_weight");
    ASSERT_EQ("e4m3fn tensor", recognize(layer, &found));
    EXPECT_EQ(HT_DIALECT_LEGACY, found.dialect);
    EXPECT_EQ(uint32_t{HT_WANTS_AS_FOUND}, found.wants);
    layer.add_named("model.diffusion_model.scaled_fp8", HT_DTYPE_F8_E4M3, {2});
    ASSERT_EQ("e4m3fn tensor", recognize(layer, &found));
    EXPECT_EQ(uint32_t{HT_WANTS_AS_FOUND | HT_WANTS_FULL_PRECISION_MM}, found.wants);
}

// Which loaders cannot use, and which is not written.
TEST(RecognizeFp8, AnyScalingInTheLegacyLayout) {
    const auto legacy = [](const Shape& scale, ht_dtype dtype = HT_DTYPE_F8_E4M3) {
        return recognize(layer_with(scale, "", dtype, ".scale_weight"));
    };
    EXPECT_EQ("e4m3fn row", legacy({6}));
    EXPECT_EQ("e4m3fn block 2", legacy({3, 5}));
    EXPECT_EQ("e4m3fn block3d 5", legacy({6, 2, 1}));
    EXPECT_EQ("e5m2 tensor", legacy({1}, HT_DTYPE_F8_E5M2));
}

TEST(RecognizeFp8, ScalesOfEveryFloatingType) {
    for (const ht_dtype dtype : {HT_DTYPE_F16, HT_DTYPE_BF16, HT_DTYPE_F64})
        EXPECT_EQ("", refusal([&] {
                      layer_with({}, R"({"format": "float8_e4m3fn"})", HT_DTYPE_F8_E4M3, ".weight_scale",
                                 dtype)
                          .recognized();
                  }));
}

// Loaders of that layout take e5m2 for e4m3fn and convert it: beyond 448 it has no numbers, and below 2^-6
// fewer.
TEST(RecognizeFp8, E5m2InTheLegacyLayoutIsConvertedByValue) {
    const auto found = layer_with({}, "", HT_DTYPE_F8_E5M2, ".scale_weight").recognized();
    const auto values_of = [](const ht_source& source, const Values& values, Bytes codes) {
        const Plan plan(source, values);
        codes.resize(60);
        Matrix all = plan.decode(plan.load({{}, bytes_of(std::vector{2.0f}), {}}), codes);
        all.values.resize(6);
        return all.values;
    };
    const Bytes codes = {0x3C, 0xDF, 0x60,
                         0x1D, 0x1F, 0x10};  // 1, -448, 512, 1.25 * 2^-8, 1.75 * 2^-8, 2^-11
    const std::vector<float> read = values_of(found.source, *found.values, codes);
    EXPECT_EQ(2.0f, read[0]);
    EXPECT_EQ(-896.0f, read[1]);
    EXPECT_TRUE(std::isnan(read[2]));
    EXPECT_EQ(2 * 0x1p-8f, read[3]);
    EXPECT_EQ(2 * 0x1p-7f, read[4]);
    EXPECT_EQ(0.0f, read[5]);
    const auto marked = layer_with({}, R"({"format": "float8_e5m2"})", HT_DTYPE_F8_E5M2).recognized();
    const Plan plan(marked.source, *marked.values);
    Bytes all = codes;
    all.resize(60);
    const Matrix plain = plan.decode(plan.load({{}, bytes_of(std::vector{2.0f})}), all);
    EXPECT_EQ(1024.0f, plain.values[2]);
    EXPECT_EQ(2.5f * 0x1p-8f, plain.values[3]);
}

TEST(RecognizeFp8, LeavesOthersAlone) {
    EXPECT_EQ("refused: its weight is not 8-bit floating point",
              recognize(layer_with({}, R"({"format": "int8_tensorwise"})", HT_DTYPE_I8)));
    EXPECT_EQ("refused: its format is 'mxfp8'", recognize(layer_with({6}, R"({"format": "mxfp8"})")));
    EXPECT_EQ("refused: its weight has no scale",
              recognize(Layer().add(".weight", HT_DTYPE_F8_E4M3, {6, 10})));
    EXPECT_EQ("refused: it has no matrix as its weight",
              recognize(Layer().add(".weight", HT_DTYPE_F8_E4M3, {6})));
    // Dummy scales beside a weight that was left alone.
    EXPECT_EQ("refused: its weight is not 8-bit floating point",
              recognize(layer_with({1}, "", HT_DTYPE_BF16, ".scale_weight")));
}

TEST(RecognizeFp8, NamesContradictions) {
    EXPECT_EQ("refused: its marker says 'float8_e5m2', but the weight is stored as e4m3fn",
              recognize(layer_with({}, R"({"format": "float8_e5m2"})")));
    EXPECT_EQ("refused: 'float8_e4m3fn' stands for one scale, but there are 6",
              recognize(layer_with({6}, R"({"format": "float8_e4m3fn"})")));
    EXPECT_EQ("refused: its scale has shape [6, 5], which fits no layout of 6 x 10",
              recognize(layer_with({6, 5})));
    EXPECT_EQ("refused: its scale has shape [3, 2, 1], which fits no layout of 6 x 10",
              recognize(layer_with({3, 2, 1})));
    EXPECT_EQ("refused: its marker says groups of 64, but the scales, [3, 5], are of 2",
              recognize(layer_with({3, 5}, R"({"format": "float8_e4m3fn_blockwise", "group_size": 64})")));
    EXPECT_EQ("refused: its marker is no JSON object", recognize(layer_with({}, "{\"format\": ")));
    EXPECT_EQ("refused: its marker names no format", recognize(layer_with({}, "{}")));
    EXPECT_EQ("refused: its scale is not stored as floating point",
              recognize(layer_with({}, "", HT_DTYPE_F8_E4M3, ".weight_scale", HT_DTYPE_I32)));
}

}  // namespace
}  // namespace halftone::format_test
