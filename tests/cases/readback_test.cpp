// Quantized checkpoints as input: dequantized, quantized anew, or refused.

#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "core/base/json.hpp"
#include "core/tensor/convert.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

NewTensor bytes_tensor(std::string name, ht_dtype dtype, Shape shape, std::vector<uint8_t> bytes) {
    const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
    return {std::move(name), dtype, std::move(shape), {first, first + bytes.size()}};
}

NewTensor marker(const std::string& layer, const std::string& text) {
    return bytes_tensor(layer + ".comfy_quant", HT_DTYPE_U8, {text.size()}, {text.begin(), text.end()});
}

NewTensor scale(std::string name, float value, Shape shape = {}) {
    return float_tensor(std::move(name), HT_DTYPE_F32, std::move(shape), std::vector{value});
}

// 1, 2, -4, 0.5 as e4m3fn
NewTensor four_codes(std::string name) {
    return bytes_tensor(std::move(name), HT_DTYPE_F8_E4M3, {2, 2}, {0x38, 0x40, 0xC8, 0x30});
}

class ReadBack : public testing::Test {
  protected:
    void write(const std::vector<NewTensor>& tensors, const Metadata& metadata = {}) {
        write_checkpoint(folder_ / "in.safetensors", tensors, metadata);
    }
    Finished dequantize(std::vector<std::string> more = {}) {
        std::vector<std::string> words = {"dequantize", (folder_ / "in.safetensors").string(), "-o",
                                          (folder_ / "out.safetensors").string()};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }
    Finished run(const std::string& quantize = "format = \"fp8\"\n", std::vector<std::string> more = {}) {
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n"
                   "[model]\nprofile = \"none\"\n[quantize]\n" +
                       quantize);
        std::vector<std::string> words = {"run", (folder_ / "p.toml").string()};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }
    Checkpoint out() { return Checkpoint::open(folder_ / "out.safetensors"); }
    void out_becomes_in() {
        std::filesystem::rename(folder_ / "out.safetensors", folder_ / "in.safetensors");
    }
    void expect_refused(const Finished& finished, int code, const std::vector<std::string>& words) {
        EXPECT_EQ(finished.code, code) << finished.err;
        for (const std::string& word : words)
            EXPECT_NE(finished.err.find(word), std::string::npos) << word << " in:\n" << finished.err;
        for (const std::string& name : names_in(folder_.path()))
            EXPECT_TRUE(name == "in.safetensors" || name == "p.toml") << name << " was left behind";
    }

    TemporaryFolder folder_;
};

std::vector<float> values_of(const Checkpoint& checkpoint, const std::string& name) {
    const Tensor* tensor = checkpoint.find(name);
    EXPECT_NE(tensor, nullptr) << name;
    if (!tensor) return {};
    std::vector<float> values(element_count(tensor->shape).value());
    widen(tensor->dtype, checkpoint.read_all(*tensor), values);
    return values;
}

using Values = std::vector<float>;
using Names = std::vector<std::string>;

Names names_of(const Checkpoint& checkpoint) {
    Names names;
    for (const Tensor& tensor : checkpoint.tensors())
        names.push_back(tensor.name);
    return names;
}

TEST_F(ReadBack, MarkersOfEveryKindAreUnderstood) {
    const std::string label = R"({"format": "float8_e4m3fn"})";
    const std::string nuls(5, '\0');
    write({four_codes("tensor.weight"), scale("tensor.weight_scale", 0.5F), marker("tensor", label),
           four_codes("padded.weight"), scale("padded.weight_scale", 0.5F, {1}),
           marker("padded", label + nuls), four_codes("header.weight"), scale("header.weight_scale", 0.5F),
           four_codes("none.weight"), scale("none.weight_scale", 0.5F, {1, 1}),
           // A layer that was left alone, with an empty marker as some writers leave them.
           float_tensor("plain.weight", HT_DTYPE_BF16, {1, 2}, Values{3, 4}), marker("plain", ""),
           float_tensor("tensor.bias", HT_DTYPE_F16, {2}, Values{7, 8})},
          {{"_quantization_metadata",
            R"({"format_version": "1.0", "layers": {"header": {"format": "float8_e4m3fn"}}})"},
           {"author", "someone"}});
    const Finished finished = dequantize({"--dtype", "f32"});
    ASSERT_EQ(finished.code, 0) << finished.err;
    const Checkpoint after = out();
    for (const char* name : {"tensor.weight", "padded.weight", "header.weight", "none.weight"}) {
        EXPECT_EQ(values_of(after, name), (Values{0.5, 1, -2, 0.25})) << name;
        EXPECT_EQ(after.find(name)->dtype, HT_DTYPE_F32);
    }
    EXPECT_EQ(names_of(after), (Names{"header.weight", "none.weight", "padded.weight", "plain.weight",
                                      "tensor.bias", "tensor.weight"}));
    EXPECT_EQ(after.find("tensor.bias")->dtype, HT_DTYPE_F16);
    EXPECT_EQ(after.metadata(), (Metadata{{"author", "someone"}}));
    EXPECT_NE(finished.out.find("4 layers were fp8"), std::string::npos) << finished.out;
}

TEST_F(ReadBack, TheLegacyLayoutWithItsDummies) {
    for (const std::string prefix : {"", "model.diffusion_model."}) {
        write({four_codes(prefix + "a.weight"), scale(prefix + "a.scale_weight", 2),
               scale(prefix + "a.scale_input", 1),
               float_tensor(prefix + "b.weight", HT_DTYPE_F16, {1, 2}, Values{3, 4}),
               scale(prefix + "b.scale_weight", 1, {1}),
               bytes_tensor(prefix + "scaled_fp8", HT_DTYPE_F8_E4M3, {2}, {0, 0})});
        const Finished finished = dequantize({"--force"});
        ASSERT_EQ(finished.code, 0) << finished.err;
        const Checkpoint after = out();
        EXPECT_EQ(names_of(after), (Names{prefix + "a.weight", prefix + "b.weight"}));
        EXPECT_EQ(values_of(after, prefix + "a.weight"), (Values{2, 4, -8, 1}));
        EXPECT_EQ(values_of(after, prefix + "b.weight"), (Values{3, 4}));
        EXPECT_EQ(after.find(prefix + "a.weight")->dtype, HT_DTYPE_BF16);
    }
}

TEST_F(ReadBack, WhatNoPluginKnowsIsAnErrorThatTellsWhatEachSaid) {
    write({bytes_tensor("a.weight", HT_DTYPE_U8, {4}, {1, 2, 3, 4}), scale("a.weight_scale", 1),
           marker("a", R"({"format": "acme_3bit"})")});
    const Names words = {"a: is quantized ('acme_3bit'), and no format plugin can read it",
                         "fp8: it has no matrix"};
    expect_refused(dequantize(), 3, words);
    expect_refused(run(), 3, words);
    expect_refused(run(), 3, {"action = \"keep\""});
}

TEST_F(ReadBack, BrokenQuantizedLayersAreRefusedAndNothingIsLeft) {
    const std::string label = R"({"format": "float8_e4m3fn"})";
    const std::string labelled = R"({"format": "float8_e4m3fn", "x": ")" + std::string(70'000, 'x') + "\"}";
    const NewTensor weight = four_codes("a.weight"), good_scale = scale("a.weight_scale", 1);
    const struct {
        std::vector<NewTensor> tensors;
        Metadata metadata;
        std::string word;
    } broken[] = {
        {{weight, good_scale, marker("a", "")}, {}, "a: its marker is empty"},
        {{weight, good_scale, marker("a", std::string(9, '\0'))}, {}, "a: its marker is empty"},
        {{weight, good_scale, marker("a", labelled)}, {}, "a: its marker has more than 64 KiB"},
        {{weight, good_scale, marker("a", "{\"format\": ")}, {}, "a: its marker: "},
        {{weight, good_scale},
         {{"_quantization_metadata", "{\"layers\": {\"a\": " + labelled + "}}"}},
         "a: its entry in the header has more than 64 KiB"},
        {{weight, good_scale}, {{"_quantization_metadata", "{"}}, "_quantization_metadata"},
        {{weight, marker("a", label)}, {}, "its weight has no scale"},
        {{weight, scale("a.weight_scale", NAN), marker("a", label)}, {}, "a"},
        {{weight, scale("a.weight_scale", INFINITY), marker("a", label)}, {}, "a"},
        {{weight, float_tensor("a.weight_scale", HT_DTYPE_F32, {3}, Values{1, 2, 3}), marker("a", label)},
         {},
         "its scale has shape [3]"},
        {{float_tensor("a.weight", HT_DTYPE_BF16, {1, 2}, Values{3, 4}), good_scale, marker("a", label)},
         {},
         "its weight is not 8-bit"},
        {{bytes_tensor("a.weight", HT_DTYPE_F8_E4M3, {1, 3}, {0x38, 0x7F, 0xFF}), good_scale},
         {},
         "a.weight: 2 values are NaN or infinite"},
    };
    for (const auto& one : broken) {
        write(one.tensors, one.metadata);
        expect_refused(dequantize(), 3, {one.word});
        EXPECT_NE(run().code, 0) << one.word;
    }
}

TEST_F(ReadBack, OverflowToF16IsAnErrorThatNamesTheTensor) {
    write({four_codes("a.weight"), scale("a.weight_scale", 30'000)});
    expect_refused(dequantize({"--dtype", "f16"}), 1, {"a.weight: has values that are too large for F16"});
    EXPECT_EQ(dequantize({"--dtype", "bf16"}).code, 0);
}

TEST_F(ReadBack, WrongUseIsToldBeforeAnythingIsWritten) {
    write({float_tensor("plain.weight", HT_DTYPE_BF16, {1, 2}, Values{3, 4})});
    expect_refused(dequantize(), 2, {"holds no quantized layer"});
    write({four_codes("a.weight"), scale("a.weight_scale", 1)});
    expect_refused(dequantize({"--dtype", "f64"}), 2, {"--dtype must be one of bf16, f16, f32"});
    expect_refused(halftone({"dequantize", (folder_ / "in.safetensors").string()}), 2,
                   {"--output is missing"});
    expect_refused(halftone({"dequantize", (folder_ / "in.safetensors").string(), "-o",
                             (folder_ / "in.safetensors").string(), "--force"}),
                   2, {"in.safetensors"});
    ASSERT_EQ(dequantize().code, 0);
    EXPECT_EQ(dequantize().code, 2) << "the output exists";
    EXPECT_EQ(dequantize({"--force", "--quiet"}).out, "");
}

TEST_F(ReadBack, BytesDependNeitherOnThreadsNorMemoryNorShards) {
    write({random_tensor("a.weight", HT_DTYPE_BF16, {1500, 320}, 1),
           random_tensor("b.weight", HT_DTYPE_BF16, {3, 200'000}, 2)});
    ASSERT_EQ(run("format = \"fp8\"\nscaling = \"row\"\n").code, 0);
    out_becomes_in();
    ASSERT_EQ(dequantize({"--threads", "1"}).code, 0);
    const std::string reference = file_text(folder_ / "out.safetensors");
    for (const std::vector<std::string>& more :
         {Names{"--threads", "8"}, Names{"--memory", "64MiB", "--threads", "3"}}) {
        std::vector<std::string> words = {"--force"};
        words.insert(words.end(), more.begin(), more.end());
        ASSERT_EQ(dequantize(words).code, 0);
        EXPECT_TRUE(file_text(folder_ / "out.safetensors") == reference);
    }
    const Values whole = values_of(out(), "b.weight");
    std::filesystem::remove(folder_ / "out.safetensors");
    // Shards as output, and as input.
    ASSERT_EQ(dequantize({"--shard-size", "1MB"}).code, 0);
    const Checkpoint shards = Checkpoint::open(folder_ / "out.safetensors.index.json");
    EXPECT_EQ(shards.files().size(), 2u);
    EXPECT_EQ(values_of(shards, "b.weight"), whole);
}

TEST_F(ReadBack, ShardedInputWithAScaleInAnotherShardThanItsWeight) {
    write_checkpoint(folder_ / "m-00001-of-00002.safetensors", {four_codes("a.weight")});
    write_checkpoint(folder_ / "m-00002-of-00002.safetensors", {scale("a.weight_scale", 0.5F)});
    write_text(folder_ / "m.safetensors.index.json",
               R"({"weight_map": {"a.weight": "m-00001-of-00002.safetensors",
                   "a.weight_scale": "m-00002-of-00002.safetensors"}})");
    const Finished finished = halftone({"dequantize", (folder_ / "m.safetensors.index.json").string(), "-o",
                                        (folder_ / "out.safetensors").string()});
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_EQ(values_of(out(), "a.weight"), (Values{0.5, 1, -2, 0.25}));
}

// What a cast left: no marker and no scale, but few programs compute with 8 bits.
TEST_F(ReadBack, NumbersCastTo8BitsAreWhatTheyAre) {
    write({four_codes("a.weight"), four_codes("norm"),
           float_tensor("b.weight", HT_DTYPE_BF16, {1, 2}, Values{3, 4})});
    const Finished finished = dequantize();
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_NE(finished.out.find("2 layers were 8-bit floating point without a scale"), std::string::npos)
        << finished.out;
    for (const char* name : {"a.weight", "norm"}) {
        EXPECT_EQ(values_of(out(), name), (Values{1, 2, -4, 0.5})) << name;
        EXPECT_EQ(out().find(name)->dtype, HT_DTYPE_BF16);
    }
    const Finished again = run("format = \"int8\"\nscaling = \"tensor\"\n", {"--force"});
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_NE(again.err.find("source already 8-bit: a.weight"), std::string::npos) << again.err;
    EXPECT_EQ(out().find("a.weight")->dtype, HT_DTYPE_I8);
    // A file that is marked to have scales, and has none for some: loaders take those as they are.
    write({four_codes("a.weight"), four_codes("c.weight"), scale("c.scale_weight", 2),
           bytes_tensor("scaled_fp8", HT_DTYPE_F8_E4M3, {2}, {0, 0})});
    ASSERT_EQ(dequantize({"--force"}).code, 0);
    EXPECT_EQ(values_of(out(), "a.weight"), (Values{1, 2, -4, 0.5}));
    EXPECT_EQ(values_of(out(), "c.weight"), (Values{2, 4, -8, 1}));
    // But not beside a scale of a kind that nobody reads.
    write({four_codes("a.weight"), scale("a.weight_scale_inv", 2)});
    EXPECT_EQ(dequantize({"--force"}).code, 3);
}

TEST_F(ReadBack, ACastHasNoMarkerAndTakesOldOnesAway) {
    write({four_codes("a.weight"), scale("a.weight_scale", 0.5F),
           marker("a", R"({"format": "float8_e4m3fn"})")},
          {{"_quantization_metadata",
            R"({"format_version": "1.0", "layers": {"a": {"format": "float8_e4m3fn"}}})"}});
    const Finished finished = run("format = \"cast\"\nto = \"f16\"\n");
    ASSERT_EQ(finished.code, 0) << finished.err;
    const Checkpoint cast = out();
    EXPECT_EQ(names_of(cast), Names{"a.weight"});
    EXPECT_EQ(cast.find("a.weight")->dtype, HT_DTYPE_F16);
    EXPECT_EQ(values_of(cast, "a.weight"), (Values{0.5, 1, -2, 0.25}));
    for (const auto& [key, value] : cast.metadata())
        EXPECT_NE(key, "_quantization_metadata");
}

// Granules of both sides of many sizes: what is quantized anew from one format to another has the bytes of
// the way by dequantizing.
TEST_F(ReadBack, FromEveryFormatToEveryOther) {
    const std::string formats[] = {
        "format = \"fp8\"\nscaling = \"row\"\n",
        "format = \"int8\"\nscaling = \"block\"\nblock_size = 48\n",
        "format = \"int8\"\nscaling = \"row\"\nrotation = \"hadamard\"\nrotation_group = 16\n",
        "format = \"int8\"\nscaling = \"lode\"\nblock_size = 32\n",
        "format = \"nvfp4\"\n",
        "format = \"mxfp8\"\n",
        "format = \"fp8\"\nscaling = \"block\"\nblock_size = 48\n",
        "format = \"fp4\"\nblock_size = 32\n"};
    for (const std::string& from : formats) {
        std::filesystem::remove(folder_ / "out.safetensors");
        write({random_tensor("a.weight", HT_DTYPE_BF16, {96 * 7, 480}, 1),
               random_tensor("b.weight", HT_DTYPE_BF16, {96, 96}, 2)});
        const Finished first = run(from);
        ASSERT_EQ(first.code, 0) << from << first.err;
        ASSERT_NE(first.out.find("2 quantized"), std::string::npos) << from << first.out << first.err;
        out_becomes_in();
        std::filesystem::rename(folder_ / "in.safetensors", folder_ / "coded.safetensors");
        ASSERT_EQ(halftone({"dequantize", (folder_ / "coded.safetensors").string(), "-o",
                            (folder_ / "plain.safetensors").string(), "--dtype", "f32", "--force"})
                      .code,
                  0);
        for (const std::string& to : formats) {
            const auto bytes_from = [&](const char* input) {
                const Finished finished = run(to, {"--force", "-i", (folder_ / input).string()});
                EXPECT_EQ(finished.code, 0) << from << to << finished.err;
                std::map<std::string, std::vector<std::byte>> bytes;
                const Checkpoint made = out();
                for (const Tensor& tensor : made.tensors())
                    // What the source was is told by some markers.
                    if (!tensor.name.ends_with(".comfy_quant")) bytes[tensor.name] = made.read_all(tensor);
                return bytes;
            };
            const auto direct = bytes_from("coded.safetensors"), by_way = bytes_from("plain.safetensors");
            EXPECT_TRUE(direct == by_way) << "from " << from << "to " << to;
            EXPECT_GE(direct.size(), 4u);
        }
    }
}

// Quantizing anew gives the bytes that quantizing the dequantized file gives.
TEST_F(ReadBack, AQuantizedInputIsQuantizedAnew) {
    write({random_tensor("a.weight", HT_DTYPE_BF16, {700, 320}, 1),
           random_tensor("b.weight", HT_DTYPE_F32, {33, 70}, 2),
           random_tensor("b.bias", HT_DTYPE_F32, {33}, 3)},
          {{"author", "someone"}});
    ASSERT_EQ(run("format = \"fp8\"\nscaling = \"row\"\n").code, 0);
    out_becomes_in();
    ASSERT_EQ(dequantize({"--dtype", "f32"}).code, 0);
    std::filesystem::rename(folder_ / "out.safetensors", folder_ / "plain.safetensors");

    const Finished plan =
        halftone({"plan", (folder_ / "p.toml").string(), "--set", "quantize.scaling=tensor"});
    EXPECT_EQ(plan.code, 0) << plan.err;
    EXPECT_NE(plan.out.find("was fp8 scaling=row"), std::string::npos) << plan.out;
    const Finished anew = run("format = \"fp8\"\nelement = \"e5m2\"\n");
    ASSERT_EQ(anew.code, 0) << anew.err;
    EXPECT_NE(anew.err.find("already quantized, and quantized anew"), std::string::npos) << anew.err;
    const Checkpoint direct = out();
    const std::map<std::string, std::string> metadata(direct.metadata().begin(), direct.metadata().end());
    const Json layers = Json::parse(metadata.at("_quantization_metadata"))["layers"];
    EXPECT_EQ(layers["a"]["format"], "float8_e5m2");
    EXPECT_EQ(direct.find("a.weight_scale")->shape, Shape{});
    std::vector<std::vector<std::byte>> bytes;
    for (const Tensor& tensor : direct.tensors())
        bytes.push_back(direct.read_all(tensor));

    std::filesystem::rename(folder_ / "plain.safetensors", folder_ / "in.safetensors");
    ASSERT_EQ(run("format = \"fp8\"\nelement = \"e5m2\"\n", {"--force"}).code, 0);
    const Checkpoint by_way_of_plain = out();
    ASSERT_EQ(names_of(by_way_of_plain), (Names{"a.comfy_quant", "a.weight", "a.weight_scale", "b.bias",
                                                "b.comfy_quant", "b.weight", "b.weight_scale"}));
    for (size_t i = 0; i < bytes.size(); ++i)
        EXPECT_TRUE(by_way_of_plain.read_all(by_way_of_plain.tensors()[i]) == bytes[i])
            << by_way_of_plain.tensors()[i].name;
}

// As other writers of NF4 do it where a layer has no bias.
TEST_F(ReadBack, ShapesThatAFileDoesNotTellComeFromTheModelItWasMadeFrom) {
    const NewTensor original = random_tensor("a.weight", HT_DTYPE_F32, {32, 64}, 1);
    write({original});
    std::filesystem::copy_file(folder_ / "in.safetensors", folder_ / "model.safetensors");
    ASSERT_EQ(run("format = \"nf4\"\n").code, 0);
    std::vector<NewTensor> flat;
    {
        const Checkpoint ours = out();
        for (const Tensor& tensor : ours.tensors())
            if (!tensor.name.ends_with(".comfy_quant"))
                flat.push_back({tensor.name, tensor.dtype, tensor.shape, ours.read_all(tensor)});
    }
    flat.push_back(marker("a", R"({"format": "bnb_nf4", "params": {"group_size": 64}})"));
    write(flat);
    std::filesystem::remove(folder_ / "out.safetensors");
    const Finished alone = dequantize();
    EXPECT_EQ(alone.code, 3);
    EXPECT_NE(alone.err.find("--shapes-from MODEL"), std::string::npos) << alone.err;
    const std::string model = (folder_ / "model.safetensors").string(),
                      in = (folder_ / "in.safetensors").string();
    const Finished told = dequantize({"--shapes-from", model, "--dtype", "f32"});
    ASSERT_EQ(told.code, 0) << told.err;
    EXPECT_EQ(out().find("a.weight")->shape, (Shape{32, 64}));
    const Finished near = halftone({"compare", model, in, "--fail-above", "relmse=0.02"});
    EXPECT_EQ(near.code, 0) << near.out << near.err;
    EXPECT_EQ(halftone({"verify", in, "--against", model}).code, 0);
    EXPECT_EQ(halftone({"verify", in}).code, 1);
    const std::string other = (folder_ / "other.safetensors").string();
    write_checkpoint(other, {random_tensor("model.a.weight", HT_DTYPE_F32, {32, 64}, 2)});
    EXPECT_EQ(dequantize({"--shapes-from", other, "--force"}).code, 0) << "a prefix more";
    write_checkpoint(other, {random_tensor("a.weight", HT_DTYPE_F32, {32, 32}, 2)});
    const Finished wrong = dequantize({"--shapes-from", other, "--force"});
    EXPECT_NE(wrong.err.find("with the shape [32, 32] that it has in other.safetensors it cannot be read"),
              std::string::npos)
        << wrong.err;
    write_checkpoint(other, {random_tensor("b.weight", HT_DTYPE_F32, {32, 32}, 2)});
    const Finished none = dequantize({"--shapes-from", other, "--force"});
    EXPECT_NE(none.err.find("other.safetensors does not tell its shape: it has no 'a.weight'"),
              std::string::npos)
        << none.err;
}

// Many legacy files have scales of 1 beside weights that are not quantized.
TEST_F(ReadBack, DummyScalesGoWithTheLegacyMarker) {
    const std::vector<NewTensor> dummies = {random_tensor("b.weight", HT_DTYPE_BF16, {40, 32}, 1),
                                            scale("b.scale_weight", 1, {1}),
                                            scale("b.scale_input", 1, {1}),
                                            random_tensor("c.weight", HT_DTYPE_BF16, {40, 32}, 2),
                                            scale("c.scale_weight", 1, {1}),
                                            bytes_tensor("scaled_fp8", HT_DTYPE_F8_E4M3, {2}, {0, 0})};
    std::vector<NewTensor> mixed = dummies;
    mixed.push_back(four_codes("a.weight"));
    mixed.push_back(scale("a.scale_weight", 2));
    const std::string rule = "[[rule]]\nmatch = \"b.*\"\naction = \"keep\"\n";
    write(mixed);
    ASSERT_EQ(run("format = \"fp8\"\n" + rule).code, 0);
    EXPECT_EQ(names_of(out()), (Names{"a.comfy_quant", "a.weight", "a.weight_scale", "b.weight",
                                      "c.comfy_quant", "c.weight", "c.weight_scale"}));
    write(dummies);
    ASSERT_EQ(run("format = \"fp8\"\n" + rule, {"--force"}).code, 0);
    EXPECT_EQ(names_of(out()), (Names{"b.weight", "c.comfy_quant", "c.weight", "c.weight_scale"}));
    // Nor do they stay beside a marker of ours.
    write({dummies[0], dummies[1], dummies[3]});
    ASSERT_EQ(run("format = \"fp8\"\n" + rule, {"--force", "--set", "output.layout=legacy"}).code, 0);
    EXPECT_EQ(names_of(out()), (Names{"b.weight", "c.scale_weight", "c.weight", "scaled_fp8"}));
    // As long as a layer is stored so, all of it stays.
    write(mixed);
    ASSERT_EQ(run("format = \"fp8\"\n[[rule]]\nmatch = [\"a.*\", \"b.*\"]\naction = \"keep\"\n",
                  {"--force", "--set", "output.layout=legacy"})
                  .code,
              0);
    EXPECT_NE(out().find("b.scale_weight"), nullptr);
    EXPECT_NE(out().find("scaled_fp8"), nullptr);
}

TEST_F(ReadBack, TheLegacyMarkerGoesWithTheLastLayerThatItSpokeFor) {
    write({random_tensor("a.weight", HT_DTYPE_BF16, {40, 32}, 1),
           random_tensor("b.weight", HT_DTYPE_BF16, {40, 32}, 2)});
    ASSERT_EQ(run("format = \"fp8\"\n", {"--set", "output.layout=legacy"}).code, 0);
    out_becomes_in();
    ASSERT_NE(Checkpoint::open(folder_ / "in.safetensors").find("scaled_fp8"), nullptr);
    ASSERT_EQ(run().code, 0);
    EXPECT_EQ(names_of(out()), (Names{"a.comfy_quant", "a.weight", "a.weight_scale", "b.comfy_quant",
                                      "b.weight", "b.weight_scale"}));
    // And back again, all of it or a part.
    out_becomes_in();
    ASSERT_EQ(run("format = \"fp8\"\n", {"--set", "output.layout=legacy"}).code, 0);
    EXPECT_EQ(names_of(out()),
              (Names{"a.scale_weight", "a.weight", "b.scale_weight", "b.weight", "scaled_fp8"}));
    out_becomes_in();
    const Finished part = run("format = \"fp8\"\n[[rule]]\nmatch = \"a.*\"\naction = \"keep\"\n",
                              {"--set", "output.layout=legacy"});
    ASSERT_EQ(part.code, 0) << part.err;
    EXPECT_NE(out().find("scaled_fp8"), nullptr);
}

}  // namespace
}  // namespace halftone::test
