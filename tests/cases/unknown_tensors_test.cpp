// Tensors of a quantized layer that its format does not know: nobody goes on as if they were not there.

#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/cases/check.hpp"

namespace halftone::test {
namespace {

NewTensor codes(const std::string& name) {
    return zeros(name, HT_DTYPE_F8_E4M3, {2, 2});
}

NewTensor number(std::string name, ht_dtype dtype = HT_DTYPE_F32, float value = 0.5F) {
    return float_tensor(std::move(name), dtype, {}, std::vector{value});
}

class UnknownTensors : public Check {
  protected:
    // An fp8 layer "x.a" with one tensor more.
    void write_layer(const std::string& suffix) {
        write({codes("x.a.weight"), number("x.a.weight_scale"), number("x.a.input_scale"),
               float_tensor("x.a.bias", HT_DTYPE_BF16, {2}, std::vector{1.0F, 2.0F}),
               marker("x.a", fp8_label), number("x.a" + suffix)});
    }
    Finished dequantize(std::vector<std::string> more = {}) {
        std::vector<std::string> words = {"dequantize", in(), "-f", "-o",
                                          (folder_ / "out.safetensors").string()};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }
    Finished requantize(const std::string& rules = "") {
        write_text(
            folder_ / "p.toml",
            "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\nreplace = true\n"
            "[model]\nprofile = \"none\"\n[quantize]\nformat = \"int8\"\nscaling = \"row\"\n" +
                rules);
        return halftone({"run", (folder_ / "p.toml").string()});
    }
    Finished compare(std::vector<std::string> more = {}) {
        write_checkpoint(folder_ / "model.safetensors",
                         {random_tensor("x.a.weight", HT_DTYPE_BF16, {2, 2}, 1)});
        std::vector<std::string> words = {"compare", (folder_ / "model.safetensors").string(), in()};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }
    std::string in() const { return (folder_ / "in.safetensors").string(); }
    std::vector<std::string> names() const {
        std::vector<std::string> names;
        const Checkpoint out = Checkpoint::open(folder_ / "out.safetensors");
        for (const Tensor& tensor : out.tensors())
            names.push_back(tensor.name);
        return names;
    }
    static std::string rule(const std::string& match, const std::string& action) {
        return "[[rule]]\nmatch = \"" + match + "\"\naction = \"" + action + "\"\n";
    }
};

void expect_stopped(const Finished& finished, const std::string& name, const std::string& advice) {
    EXPECT_EQ(finished.code, 3) << finished.err;
    EXPECT_NE(finished.err.find(name + ": is not part of fp8, the format of its layer"), std::string::npos)
        << finished.err;
    EXPECT_NE(finished.err.find(advice), std::string::npos) << finished.err;
}

using Names = std::vector<std::string>;

TEST_F(UnknownTensors, StopWhatNeedsTheLayersNumbers) {
    for (const std::string suffix : {".pre_quant_scale", ".weight_zero_point", ".weight_scale_2", ".qzeros",
                                     ".smooth", ".weight.absmax", ".weight.foo"}) {
        write_layer(suffix);
        const std::string name = "x.a" + suffix, pattern = "'*" + suffix + "'";
        expect_stopped(dequantize(), name, "--remove-unknown " + pattern);
        expect_stopped(compare(), name, "--ignore " + pattern);
        expect_stopped(requantize(), name, "match = \"*" + suffix + "\"");
        EXPECT_EQ(names_in(folder_.path()), (Names{"in.safetensors", "model.safetensors", "p.toml"}));
        const Finished verified = halftone({"verify", in()});
        EXPECT_EQ(verified.code, 1);
        EXPECT_NE(verified.out.find(name + ": is not part of fp8"), std::string::npos) << verified.out;
    }
}

TEST_F(UnknownTensors, GoWhereThePersonSaysSo) {
    write_layer(".pre_quant_scale");
    ASSERT_EQ(dequantize({"--remove-unknown", "*.pre_quant_scale"}).code, 0);
    EXPECT_EQ(names(), (Names{"x.a.bias", "x.a.weight"}));
    EXPECT_EQ(compare({"--ignore", "*_quant_scale"}).code, 0);
    ASSERT_EQ(requantize(rule("*.pre_quant_scale", "remove")).code, 0);
    EXPECT_EQ(names(), (Names{"x.a.bias", "x.a.comfy_quant", "x.a.weight", "x.a.weight_scale"}));
    // Named like a part of a quantization, it would be a part of none.
    const Finished kept = dequantize({"--keep-unknown", "*.pre_quant_scale"});
    EXPECT_EQ(kept.code, 3);
    EXPECT_EQ(kept.err.find("--keep-unknown"), std::string::npos) << "it was tried already: " << kept.err;
    EXPECT_EQ(requantize(rule("*.pre_quant_scale", "keep")).code, 3);
    write_layer(".smooth");
    ASSERT_EQ(dequantize({"--keep-unknown", "x.a.smooth"}).code, 0);
    EXPECT_EQ(names(), (Names{"x.a.bias", "x.a.smooth", "x.a.weight"}));
    ASSERT_EQ(requantize(rule("x.a.smooth", "keep")).code, 0);
    EXPECT_EQ(names(),
              (Names{"x.a.bias", "x.a.comfy_quant", "x.a.smooth", "x.a.weight", "x.a.weight_scale"}));
    const Finished useless = dequantize({"--keep-unknown", "*.smooth", "--remove-unknown", "*.nothing"});
    EXPECT_EQ(useless.code, 0);
    EXPECT_NE(useless.err.find("--remove-unknown: '*.nothing' matches no tensor"), std::string::npos)
        << useless.err;
}

TEST_F(UnknownTensors, StayWithALayerThatStays) {
    write_layer(".smooth");
    write_text(folder_ / "p.toml",
               "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\nkept = \"bf16\"\n"
               "[model]\nprofile = \"none\"\n[quantize]\nformat = \"keep\"\n");
    const Finished kept = halftone({"run", (folder_ / "p.toml").string()});
    ASSERT_EQ(kept.code, 0) << kept.err;
    EXPECT_EQ(Checkpoint::open(folder_ / "out.safetensors").find("x.a.smooth")->dtype, HT_DTYPE_F32)
        << "as it was";
    // And go with one that goes.
    ASSERT_EQ(requantize(rule("x.a.weight", "remove") + rule("never", "keep")).code, 2);
}

TEST_F(UnknownTensors, OtherModulesAndWhatEveryFormatHasAreNone) {
    write({codes("x.a.weight"), number("x.a.weight_scale"), number("x.a.input_scale"),
           float_tensor("x.a.bias", HT_DTYPE_BF16, {2}, std::vector{1.0F, 2.0F}), marker("x.a", fp8_label),
           random_tensor("x.a.norm.weight", HT_DTYPE_BF16, {2}, 1),
           random_tensor("x.a.lora_A.weight", HT_DTYPE_BF16, {2, 2}, 2),
           random_tensor("x.scale", HT_DTYPE_BF16, {2}, 3), number("x.ab_scale")});
    EXPECT_EQ(dequantize().code, 0);
    EXPECT_EQ(names(), (Names{"x.a.bias", "x.a.lora_A.weight", "x.a.norm.weight", "x.a.weight", "x.ab_scale",
                              "x.scale"}));
    EXPECT_EQ(halftone({"verify", in()}).code, 0);
}

TEST_F(UnknownTensors, AConvertersHybridIsKnown) {
    write_checkpoint(folder_ / "plain.safetensors", {random_tensor("a.weight", HT_DTYPE_BF16, {32, 32}, 1)});
    run("format = \"mxfp8\"\n", "metadata = \"tensor\"\n");
    std::vector<NewTensor> tensors;
    {
        const Checkpoint ours = Checkpoint::open(in());
        for (const Tensor& tensor : ours.tensors())
            if (!tensor.name.ends_with(".comfy_quant"))
                tensors.push_back({tensor.name, tensor.dtype, tensor.shape, ours.read_all(tensor)});
    }
    const std::string layer = "blocks.0.proj";
    tensors.push_back(number(layer + ".weight_scalar"));
    tensors.push_back(marker(layer, R"({"format": "hybrid_mxfp8", "group_size": 32})"));
    write(tensors);
    EXPECT_EQ(dequantize().code, 0);
    EXPECT_EQ(names(), (Names{layer + ".bias", layer + ".weight"}));
    const Finished verified = halftone({"verify", in()});
    EXPECT_EQ(verified.code, 0) << verified.out;
    tensors.back() = marker(layer, R"({"format": "mxfp8", "group_size": 32})");
    write(tensors);
    EXPECT_EQ(dequantize().code, 3) << "known under the other label alone";
}

// A stack's loader does not look for it.
TEST_F(UnknownTensors, OfStacksToo) {
    write_checkpoint(folder_ / "plain.safetensors",
                     {random_tensor("x.experts.up.weight", HT_DTYPE_BF16, {3, 32, 32}, 1)});
    write_text(folder_ / "p.toml",
               "[input]\npath = \"plain.safetensors\"\n[output]\npath = \"base.safetensors\"\n"
               "[model]\nprofile = \"none\"\n[quantize]\nformat = \"nvfp4\"\n");
    ASSERT_EQ(halftone({"run", (folder_ / "p.toml").string()}).code, 0);
    std::vector<NewTensor> tensors;
    const Checkpoint base = Checkpoint::open(folder_ / "base.safetensors");
    for (const Tensor& tensor : base.tensors())
        tensors.push_back({tensor.name, tensor.dtype, tensor.shape, base.read_all(tensor)});
    tensors.push_back(
        float_tensor("x.experts.up.pre_quant_scale", HT_DTYPE_F32, {32}, std::vector<float>(32, 2)));
    write(tensors, base.metadata());
    const Finished stopped = dequantize();
    EXPECT_EQ(stopped.code, 3);
    EXPECT_NE(stopped.err.find("x.experts.up.pre_quant_scale: is not part of nvfp4"), std::string::npos)
        << stopped.err;
    EXPECT_EQ(dequantize({"--remove-unknown", "*.pre_quant_scale"}).code, 0);
}

// Twelve lines for each of many layers would bury all else.
TEST_F(UnknownTensors, FindingsThatSayTheSameStandTogether) {
    std::vector<NewTensor> tensors;
    for (int i = 0; i < 22; ++i) {
        const std::string layer = "x." + std::to_string(100 + i);
        tensors.push_back(codes(layer + ".weight"));
        tensors.push_back(marker(layer, R"({"format": "acme.truncate"})"));
    }
    write(tensors);
    const Finished verified = halftone({"verify", in()});
    EXPECT_EQ(verified.code, 1);
    EXPECT_NE(verified.out.find(
                  "22 findings:\n  x.100: is quantized ('acme.truncate'), and no format plugin can read it"),
              std::string::npos)
        << verified.out;
    EXPECT_NE(verified.out.find("\n    and 21 more: x.101, x.102, x.103, ...\n"), std::string::npos)
        << verified.out;
    EXPECT_LT(std::ranges::count(verified.out, '\n'), 20) << verified.out;
    write_checkpoint(folder_ / "model.safetensors",
                     {random_tensor("x.100.weight", HT_DTYPE_BF16, {2, 2}, 1)});
    const Finished against =
        halftone({"verify", in(), "--against", (folder_ / "model.safetensors").string()});
    EXPECT_EQ(against.out.find("shape"), std::string::npos) << "its shape is not what is missing\n"
                                                            << against.out;
}

// Nothing says whether it is part of the weight's numbers. A scale of 1 changes nothing.
TEST_F(UnknownTensors, ScalesBesidePlainWeightsAreNotDropped) {
    for (const std::string suffix : {".weight_scale", ".scale_weight", ".weight_scale_inv"})
        for (const float scale : {0.002F, 1.0F}) {
            write_checkpoint(in(), {random_tensor("x.a.weight", HT_DTYPE_BF16, {64, 64}, 1),
                                    float_tensor("x.a" + suffix, HT_DTYPE_F32, {1}, std::vector{scale})});
            const bool refused = scale != 1;
            const Finished run = requantize();
            EXPECT_EQ(run.code, refused ? 3 : 0) << suffix << run.err;
            const Finished verified = halftone({"verify", in()});
            EXPECT_EQ(verified.code, refused ? 1 : 0) << suffix << verified.out;
            if (!refused) continue;
            EXPECT_NE(run.err.find("x.a" + suffix), std::string::npos) << run.err;
            EXPECT_NE(run.err.find("its weight is plain BF16"), std::string::npos) << run.err;
            EXPECT_EQ(dequantize().code, 3);
        }
}

}  // namespace
}  // namespace halftone::test
