#include "core/checkpoint/quantized.hpp"

#include <cmath>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "tests/unit/base/temporary_folder.hpp"
#include "tests/unit/checkpoint/written.hpp"

namespace halftone {
namespace {

using namespace testing_checkpoints;

constexpr ht_dtype wide_dtypes[] = {HT_DTYPE_F16, HT_DTYPE_BF16, HT_DTYPE_F32, HT_DTYPE_F64};

class Quantized : public testing::Test {
  protected:
    void add(const std::string& name, ht_dtype dtype, Shape shape = {4, 8}) {
        tensors_.push_back(tensor(name, dtype, std::move(shape)));
    }
    void add_marker(const std::string& layer, const std::string& text) {
        add(layer + ".comfy_quant", HT_DTYPE_U8, {text.size()});
        contents_[layer + ".comfy_quant"] = text;
    }
    void add_numbers(const std::string& name, const std::vector<float>& values) {
        add(name, HT_DTYPE_F32, {values.size()});
        contents_[name].assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    }
    void add_header(const std::string& text) { metadata_.emplace_back("_quantization_metadata", text); }

    std::vector<QuantizedLayer> find() {
        const auto path = write(folder_.path() / "m.safetensors", tensors_, metadata_, contents_);
        return quantized_layers(Checkpoint::open(path));
    }
    QuantizedLayer find_one() {
        const std::vector<QuantizedLayer> layers = find();
        EXPECT_EQ(layers.size(), 1U);
        return layers.empty() ? QuantizedLayer() : layers[0];
    }

    TemporaryFolder folder_;
    std::vector<OutputTensor> tensors_;
    Contents contents_;
    Metadata metadata_;
};

using Names = std::vector<std::string>;

TEST_F(Quantized, NothingInAPlainModel) {
    add("a.weight", HT_DTYPE_BF16);
    add("a.bias", HT_DTYPE_BF16, {4});
    add("b.weight", HT_DTYPE_F8_E4M3);
    add("c.weight", HT_DTYPE_I8);
    add("d.weight", HT_DTYPE_U8);
    add("scale_factor", HT_DTYPE_F32, {});
    add("norm.scale", HT_DTYPE_F32, {8});
    EXPECT_TRUE(find().empty());
}

TEST_F(Quantized, ALayerWithAMarker) {
    add("x.a.weight", HT_DTYPE_F8_E4M3);
    add("x.a.weight_scale", HT_DTYPE_F32, {});
    add("x.a.input_scale", HT_DTYPE_F32, {});
    add("x.a.bias", HT_DTYPE_BF16, {4});
    add_marker("x.a", R"({"params": {"format": "wrong"}, "format": "float8_e4m3fn"})");
    const QuantizedLayer layer = find_one();
    EXPECT_EQ(layer.name, "x.a");
    EXPECT_EQ(layer.label, "float8_e4m3fn");
    EXPECT_EQ(layer.evidence, "x.a.comfy_quant");
    EXPECT_EQ(layer.companions, (Names{"x.a.comfy_quant", "x.a.input_scale", "x.a.weight_scale"}));
}

TEST_F(Quantized, EveryKindOfScaleBesideANarrowWeight) {
    for (const char* suffix :
         {".weight_scale", ".weight_scale_2", ".weight_scalar", ".weight_s_rel", ".weight_s_channel",
          ".weight_codebook", ".weight_scale_inv", ".scale_weight", ".absmax", ".SCB"})
        for (const ht_dtype dtype :
             {HT_DTYPE_F8_E4M3, HT_DTYPE_F8_E5M2, HT_DTYPE_I8, HT_DTYPE_U8, HT_DTYPE_F4}) {
            tensors_.clear();
            add("a.weight", dtype);
            add(std::string("a") + suffix, HT_DTYPE_F32, {4});
            const QuantizedLayer layer = find_one();
            EXPECT_EQ(layer.name, "a");
            EXPECT_EQ(layer.label, "");
            EXPECT_EQ(layer.evidence, std::string("a") + suffix);
        }
}

TEST_F(Quantized, NotALayerWithDummyScales) {
    for (const ht_dtype dtype : wide_dtypes) {
        tensors_.clear();
        add("scaled_fp8", HT_DTYPE_F8_E4M3, {2});
        add("a.weight", dtype);
        add_numbers("a.scale_weight", {1});
        add("a.scale_input", HT_DTYPE_F32, {1});
        add("b.weight", dtype);
        add_numbers("b.weight_scale", {1, 1});
        EXPECT_TRUE(find().empty());
    }
}

TEST_F(Quantized, AScaleThatIsNoDummyMakesAPlainWeightDoubtful) {
    for (const ht_dtype dtype : wide_dtypes)
        for (const float scale : {0.5F, 0.0F, NAN}) {
            tensors_.clear();
            add("a.weight", dtype);
            add_numbers("a.weight_scale", {1, scale});
            const auto found = find();
            ASSERT_EQ(found.size(), 1u);
            EXPECT_NE(found[0].problem.find("its weight is plain"), std::string::npos) << found[0].problem;
        }
}

TEST_F(Quantized, NotALayerWithAnEmptyMarkerUnlessItsWeightIsNarrow) {
    for (const std::string& marker : {std::string(), std::string(30, '\0'), std::string(" \n\0", 3)}) {
        for (const ht_dtype dtype : wide_dtypes) {
            tensors_.clear();
            add("a.weight", dtype);
            add_marker("a", marker);
            EXPECT_TRUE(find().empty());
        }
        tensors_.clear();
        add("a.weight", HT_DTYPE_F8_E4M3);
        add_marker("a", marker);
        EXPECT_EQ(find_one().label, "");
    }
}

TEST_F(Quantized, AMarkerIsReadWithItsPadding) {
    add("a.weight", HT_DTYPE_I8);
    add_marker("a", std::string("{\"format\": \"int8_tensorwise\"}  \0\0", 33));
    EXPECT_EQ(find_one().label, "int8_tensorwise");
}

TEST_F(Quantized, AMarkerThatSaysSomethingIsTakenAtItsWord) {
    add("a.weight", HT_DTYPE_BF16);
    add_marker("a", R"({"format": "nvfp4"})");
    EXPECT_EQ(find_one().label, "nvfp4");
}

TEST_F(Quantized, AMarkerThatIsNoJsonGivesNoLabel) {
    for (const char* marker :
         {"{\"format\": \"x\"", "\"x\"", "[1]", "\xFF\xFE{", "{\"format\": 3}", "{}{}"}) {
        tensors_.clear();
        add("a.weight", HT_DTYPE_F8_E4M3);
        add_marker("a", marker);
        EXPECT_EQ(find_one().label, "") << marker;
    }
    tensors_.clear();
    add("a.weight", HT_DTYPE_F8_E4M3);
    add_marker("a", "{\"format\": \"x\", \"long\": \"" + std::string(100'000, 'y') + "\"}");
    EXPECT_EQ(find_one().label, "");
}

TEST_F(Quantized, TheHeaderWins) {
    add("a.weight", HT_DTYPE_F8_E4M3);
    add("a.weight_scale", HT_DTYPE_F32, {});
    add_marker("a", R"({"format": "from the marker"})");
    add_header(R"({"format_version": "1.0", "layers": {"a": {"group_size": 1, "format": "from the header"},
                   "gone": {"format": "stale"}}})");
    const QuantizedLayer layer = find_one();
    EXPECT_EQ(layer.label, "from the header");
    EXPECT_EQ(layer.evidence, "header entry '_quantization_metadata'");
    EXPECT_EQ(layer.companions, (Names{"a.comfy_quant", "a.weight_scale"}));
}

TEST_F(Quantized, AHeaderWithoutALabelLeavesItToTheMarker) {
    add("a.weight", HT_DTYPE_F8_E4M3);
    add_marker("a", R"({"format": "from the marker"})");
    add_header(R"({"layers": {"a": {}, "b": 3}})");
    EXPECT_EQ(find_one().label, "from the marker");
}

TEST_F(Quantized, AHeaderThatIsNoJsonIsAnErrorThatNamesTheFile) {
    add("a.weight", HT_DTYPE_F8_E4M3);
    for (const char* text : {"", "{", "[]", "{}x", "{\"layers\": {\"a\": }}"}) {
        metadata_.clear();
        add_header(text);
        try {
            find();
            FAIL() << text;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Exit::input);
            EXPECT_NE(error.where().find("m.safetensors"), std::string::npos);
            EXPECT_NE(error.problem().find("_quantization_metadata"), std::string::npos) << error.problem();
        }
    }
}

TEST_F(Quantized, HeadersOfAllShardsCount) {
    folder_.write("1.safetensors", "");
    const auto shard = [&](const std::string& file, const std::string& layer) {
        write(folder_.path() / file, {tensor(layer + ".weight", HT_DTYPE_F8_E4M3, {2})},
              {{"_quantization_metadata",
                "{\"layers\": {\"" + layer + "\": {\"format\": \"of " + layer + "\"}}}"}});
    };
    shard("1.safetensors", "a");
    shard("2.safetensors", "b");
    const auto index = folder_.write(
        "i.json", R"({"weight_map": {"a.weight": "1.safetensors", "b.weight": "2.safetensors"}})");
    const std::vector<QuantizedLayer> layers = quantized_layers(Checkpoint::open(index));
    ASSERT_EQ(layers.size(), 2U);
    EXPECT_EQ(layers[0].label, "of a");
    EXPECT_EQ(layers[1].label, "of b");
}

TEST_F(Quantized, AMarkerForTheFileCoversNarrowFloatsBelowItsPrefix) {
    add("model.x.scaled_fp8", HT_DTYPE_F8_E4M3, {0});
    add("model.x.a.weight", HT_DTYPE_F8_E4M3);
    add("model.x.b.weight", HT_DTYPE_BF16);
    add("model.x.c.weight", HT_DTYPE_I8);
    add("model.y.weight", HT_DTYPE_F8_E4M3);
    const QuantizedLayer layer = find_one();
    EXPECT_EQ(layer.name, "model.x.a");
    EXPECT_EQ(layer.evidence, "model.x.scaled_fp8");
    add("scaled_fp8", HT_DTYPE_F8_E4M3, {2});
    EXPECT_EQ(find().size(), 2U);
}

TEST_F(Quantized, AMatrixIsNoMarkerForTheFile) {
    add("scaled_dot.weight", HT_DTYPE_F8_E4M3);
    add("scaled_query", HT_DTYPE_F8_E4M3, {2, 2});
    add("scaled_key", HT_DTYPE_F8_E4M3, {3});
    add("a.weight", HT_DTYPE_F8_E4M3);
    EXPECT_TRUE(find().empty());
}

TEST_F(Quantized, AStateBesideTheWeightProvesItWhateverTheDtype) {
    for (const ht_dtype dtype : {HT_DTYPE_U8, HT_DTYPE_BF16, HT_DTYPE_F32}) {
        tensors_.clear();
        add("a.weight", dtype, {16, 1});
        add("a.weight.absmax", HT_DTYPE_F32, {1});
        add("a.weight.quant_map", HT_DTYPE_F32, {16});
        add("a.weight.nested_absmax", HT_DTYPE_F32, {1});
        add("a.weight.nested_quant_map", HT_DTYPE_F32, {256});
        add("a.weight.quant_state.bitsandbytes__nf4", HT_DTYPE_U8, {2});
        const QuantizedLayer layer = find_one();
        EXPECT_EQ(layer.name, "a");
        EXPECT_EQ(layer.label, "bitsandbytes__nf4");
        EXPECT_EQ(layer.companions.size(), 5U);
    }
}

TEST_F(Quantized, NotScalesWithoutAWeight) {
    add("a.weight_scale", HT_DTYPE_F32, {});
    add("a.scale_weight", HT_DTYPE_F32, {});
    add("a.weight.absmax", HT_DTYPE_F32, {4});
    add_marker("a", R"({"format": "x"})");
    add_header(R"({"layers": {"a": {"format": "x"}}})");
    EXPECT_TRUE(find().empty());
}

TEST_F(Quantized, LayersComeInTheOrderOfTheirNames) {
    for (const char* layer : {"c", "a", "b.10", "b.2"}) {
        add(std::string(layer) + ".weight", HT_DTYPE_I8);
        add(std::string(layer) + ".weight_scale", HT_DTYPE_F32, {});
    }
    Names names;
    for (const QuantizedLayer& layer : find())
        names.push_back(layer.name);
    EXPECT_EQ(names, (Names{"a", "b.10", "b.2", "c"}));
}

}  // namespace
}  // namespace halftone
