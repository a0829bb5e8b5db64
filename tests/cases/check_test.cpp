// `halftone check`: would a loader take every tensor of a file, ours or another's?

#include "tests/cases/check.hpp"

#include <gtest/gtest.h>

#include "core/base/json.hpp"

namespace halftone::test {
namespace {

TEST_F(Check, WhatWasWrittenForALoaderIsTakenByIt) {
    run("format = \"fp8\"\n");
    expect_taken("comfyui", "labelled 'float8_e4m3fn' (fp8), since ");
    expect_taken("comfyui-fork", "taken: 1 layer");
    expect_refused("bitsandbytes", {"it is in the layout \"comfyui\", and bitsandbytes reads bitsandbytes",
                                    "wants \"format\": \"pt\" in the header's __metadata__"});
    run("format = \"fp8\"\n", "layout = \"legacy\"\n");
    expect_taken("comfyui", "taken: 1 layer (fp8)");
}

TEST_F(Check, ALabelThatALoaderDoesNotKnowIsToldInItsOwnWordsWithWhatToDo) {
    run("format = \"int8\"\nscaling = \"block\"\n");
    expect_refused("comfyui", {"ComfyUI does not know the label 'int8_blockwise'",
                               "KeyError: 'int8_blockwise'", "it is loaded by comfyui-fork",
                               "scaling = \"row\"", "ComfyUI would refuse 1 of 1 quantized layer"});
    expect_taken("comfyui-fork");
}

TEST_F(Check, TheForkWorksWithBlocksOf128Only) {
    run("format = \"int8\"\nscaling = \"block\"\nblock_size = 64\n");
    expect_refused("comfyui-fork",
                   {"works with group_size 128 only, and this layer has 64", "block_size = 128"});
}

TEST_F(Check, TheForkDoesNotLookAtTheRootOfAMarkerForAGroupSize) {
    const auto layer = [&](const std::string& configuration, Shape scales) {
        write({zeros("a.weight", HT_DTYPE_I8, {256, 256}),
               zeros("a.weight_scale", HT_DTYPE_F32, std::move(scales)),
               float_tensor("a.input_scale", HT_DTYPE_F32, {}, std::vector{1.0F}),
               marker("a", configuration)});
    };
    layer(R"({"format": "int8_blockwise", "group_size": 64})", {4, 4});
    expect_refused("comfyui-fork", {"nothing, so that it takes 128, but what is stored has block_size = 64",
                                    "the marker has 'group_size' at its root only"});
    layer(R"({"format": "int8_blockwise", "params": {"group_size": 128}})", {2, 2});
    expect_taken("comfyui-fork");
}

TEST_F(Check, AnUnheardLabelIsRefused) {
    write({zeros("a.weight", HT_DTYPE_U8, {4, 4}), marker("a", R"({"format": "int3_magic"})")});
    expect_refused("comfyui", {"ComfyUI does not know the label 'int3_magic' (\"KeyError: "
                               "'int3_magic'\"), and no format here does"});
}

TEST_F(Check, AWeightOfAnotherTypeThanItsLabelIsRefused) {
    for (const ht_dtype dtype : {HT_DTYPE_BF16, HT_DTYPE_F32}) {
        write({random_tensor("a.weight", dtype, {16, 16}, 1), zeros("a.weight_scale", HT_DTYPE_F32, {}),
               marker("a", fp8_label)});
        expect_refused("comfyui",
                       {"labelled 'float8_e4m3fn'", "converts it by value to F8_E4M3: other numbers"});
    }
    write({zeros("a.weight", HT_DTYPE_U8, {4, 4}), zeros("a.weight_scale", HT_DTYPE_F32, {}),
           marker("a", fp8_label)});
    expect_refused("comfyui", {"labelled 'float8_e4m3fn'", "its weight is U8"});
    // Codes that someone stored as wider numbers stay what they are.
    write({float_tensor("a.weight", HT_DTYPE_F32, {2, 2}, std::vector<float>{-128, 127, 3, 0}),
           zeros("a.weight_scale", HT_DTYPE_F32, {}), marker("a", R"({"format": "int8_tensorwise"})")});
    expect_taken("comfyui");
}

TEST_F(Check, AMissingScaleIsRefused) {
    write({zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}), marker("a", fp8_label)});
    expect_refused("comfyui", {"labelled 'float8_e4m3fn'", "it lacks its '.weight_scale'"});
    write({zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}), zeros("scaled_fp8", HT_DTYPE_F8_E4M3, {2})});
    expect_refused("comfyui", {"it has no scale, though 'scaled_fp8' says"});
}

TEST_F(Check, AScaleOfAnotherShapeIsRefused) {
    write({zeros("a.weight", HT_DTYPE_I8, {4, 8}), zeros("a.weight_scale", HT_DTYPE_F32, {3}),
           marker("a", R"({"format": "int8_tensorwise"})")});
    expect_refused("comfyui", {"labelled 'int8_tensorwise'"});
    // Along the wrong side: loaders would multiply columns by what is meant for rows.
    write({zeros("a.weight", HT_DTYPE_I8, {4, 8}), zeros("a.weight_scale", HT_DTYPE_F32, {4}),
           marker("a", R"({"format": "int8_tensorwise"})")});
    expect_refused("comfyui", {"weight_scale"});
}

TEST_F(Check, EmptyAndUnreadableMarkersAreRefused) {
    const std::vector<NewTensor> layer = {zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}),
                                          zeros("a.weight_scale", HT_DTYPE_F32, {})};
    const auto with = [&](const std::string& text) {
        std::vector<NewTensor> tensors = layer;
        tensors.push_back(marker("a", text));
        write(tensors);
    };
    with("");
    expect_refused("comfyui", {"its marker is empty"});
    with(std::string(20, '\0'));
    expect_refused("comfyui", {"its marker is empty"});
    with("{\"format\": ");
    expect_refused("comfyui", {"its marker"});
    with(std::string(fp8_label) + std::string(3, '\0'));
    expect_refused("comfyui", {"its marker ends in NUL bytes"});
    write({zeros("plain.weight", HT_DTYPE_BF16, {4, 4}), marker("plain", "")});
    expect_refused("comfyui", {"refused: plain.comfy_quant", "the marker is empty, and ComfyUI stops at it"});
}

TEST_F(Check, TheHeaderCountsWhereItDisagreesWithTheMarker) {
    const std::vector<NewTensor> layer = {zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}),
                                          zeros("a.weight_scale", HT_DTYPE_F32, {}),
                                          marker("a", R"({"format": "float8_e4m3fn_rowwise"})")};
    write(layer, header("a", fp8_label));
    expect_taken("comfyui",
                 "header and marker disagree, and the header counts: format (float8_e4m3fn_rowwise in the "
                 "marker, float8_e4m3fn in the header)");
}

TEST_F(Check, AnEntryInTheHeaderAloneIsAsGoodAsAMarker) {
    write({zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}), zeros("a.weight_scale", HT_DTYPE_F32, {})},
          header("a", fp8_label));
    expect_taken("comfyui", "labelled 'float8_e4m3fn'");
    write({zeros("a.weight", HT_DTYPE_I8, {4, 4}), zeros("a.weight_scale", HT_DTYPE_F32, {})},
          header("a", R"({"format": "int8_tensorwise"})"));
    expect_refused("comfyui-fork", {"it is loaded by comfyui since 2026-06, stable-diffusion.cpp"});
}

TEST_F(Check, TypesThatAReaderDoesNotKnowAreRefused) {
    write({zeros("a.weight", HT_DTYPE_BF16, {4, 4}), zeros("odd", HT_DTYPE_F8_E8M0, {4})});
    expect_refused("comfyui", {"refused: odd", "the reader of ComfyUI does not know the type F8_E8M0",
                               "ComfyUI would refuse 1 other tensor"});
    write({zeros("a.weight", HT_DTYPE_BF16, {4, 4}), zeros("odd", HT_DTYPE_F8_E8M0, {4})},
          {{"format", "pt"}});
    expect_taken("bitsandbytes", "no quantized layers");
}

TEST_F(Check, ShardsAreRefusedByLoadersOfSingleFiles) {
    run("format = \"fp8\"\n", "shard_size = \"64KiB\"\n");
    const Finished finished = check("comfyui", {}, "in.safetensors.index.json");
    EXPECT_EQ(finished.code, 1) << finished.out << finished.err;
    EXPECT_NE(finished.out.find("ComfyUI reads single files only, and this checkpoint has "),
              std::string::npos)
        << finished.out;
}

TEST_F(Check, DummyScalesBesidePlainWeightsAreMentioned) {
    write({zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}), zeros("a.scale_weight", HT_DTYPE_F32, {1}),
           zeros("b.weight", HT_DTYPE_F16, {4, 4}),
           float_tensor("b.scale_weight", HT_DTYPE_F32, {1}, std::vector{1.0F}),
           zeros("scaled_fp8", HT_DTYPE_F8_E4M3, {2})});
    expect_taken("comfyui", "note: 1 scale beside numbers that are not quantized, like 'b.scale_weight'");
}

TEST_F(Check, JsonTellsEveryLayer) {
    run("format = \"int8\"\nscaling = \"block\"\n");
    const Finished finished = check("comfyui", {"--json"});
    EXPECT_EQ(finished.code, 1);
    const Json found = Json::parse(finished.out);
    EXPECT_EQ(found["loader"], "comfyui");
    EXPECT_EQ(found["passed"], false);
    ASSERT_EQ(found["layers"].size(), 1U);
    EXPECT_EQ(found["layers"][0]["name"], "blocks.0.proj");
    EXPECT_EQ(found["layers"][0]["label"], "int8_blockwise");
    EXPECT_EQ(found["layers"][0]["taken"], false);
    EXPECT_EQ(found["totals"]["refused_layers"], 1);
    EXPECT_EQ(found["totals"]["other_tensors"], 1);
}

TEST_F(Check, AUsersFileGoesOverWhatIsInstalled) {
    run("format = \"int8\"\nscaling = \"block\"\n");
    write_text(
        folder_ / "mine.toml",
        "[[label]]\nloader = \"comfyui\"\nlabel = \"int8_blockwise\"\ntakes = true\nsince = \"2027-01\"\n");
    const Finished given = check("comfyui", {"--loaders", (folder_ / "mine.toml").string()});
    EXPECT_EQ(given.code, 0) << given.out << given.err;
    EXPECT_NE(given.out.find("since 2027-01"), std::string::npos) << given.out;
    std::filesystem::create_directory(folder_ / "halftone");
    std::filesystem::rename(folder_ / "mine.toml", folder_ / "halftone" / "loaders.toml");
    EXPECT_EQ(check("comfyui").code, 0) << "found in the user's folder";
    write_text(folder_ / "halftone" / "loaders.toml", "[[label]]\nloader = \"comfyui\"\nlable = \"x\"\n");
    const Finished broken = check("comfyui");
    EXPECT_EQ(broken.code, 2);
    EXPECT_NE(broken.err.find("loaders.toml:3:1: [[label]] has no key 'lable'; did you mean 'label'?"),
              std::string::npos)
        << broken.err;
}

TEST_F(Check, AnUnknownLoaderOrNoneIsAMistake) {
    write({zeros("a.weight", HT_DTYPE_BF16, {4, 4})});
    EXPECT_EQ(check("comfy-ui").code, 2);
    const Finished none = halftone({"check", (folder_ / "in.safetensors").string()});
    EXPECT_EQ(none.code, 2);
    EXPECT_NE(none.err.find("--for"), std::string::npos);
}

class Target : public Check {
  protected:
    std::string warnings(const std::string& quantize, const std::string& output) {
        run(quantize, output);
        return last_.err;
    }
};

TEST_F(Target, APlanWarnsOfWhatTheLoaderWouldRefuseAndSaysWhatItWouldTake) {
    const std::string said = warnings("format = \"int8\"\nscaling = \"block\"\n", "target = \"comfyui\"\n");
    EXPECT_NE(said.find("comfyui refuses 'int8_blockwise' (1 matrix): ComfyUI does not know the label"),
              std::string::npos)
        << said;
    EXPECT_NE(said.find("scaling = \"row\""), std::string::npos) << said;
    EXPECT_EQ(warnings("format = \"int8\"\n", "target = \"comfyui\"\n"), "");
    EXPECT_EQ(warnings("format = \"int8\"\nscaling = \"block\"\n", "target = \"comfyui-fork\"\n"), "");
    const std::string fork =
        warnings("format = \"int8\"\nscaling = \"block\"\nblock_size = 64\n", "target = \"comfyui-fork\"\n");
    EXPECT_NE(fork.find("works with group_size 128 only"), std::string::npos) << fork;
}

TEST_F(Target, APlanWarnsOfWeightsWhoseColumnsTheLoaderCountsAndOfFilesThatAreNoModels) {
    const auto said = [&](const std::vector<NewTensor>& tensors, const std::string& format) {
        write_checkpoint(folder_ / "model.safetensors", tensors);
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"model.safetensors\"\n[output]\npath = \"o.safetensors\"\n"
                   "target = \"comfyui\"\n[model]\nprofile = \"none\"\n[quantize]\nformat = \"" +
                       format + "\"\n");
        return halftone({"plan", (folder_ / "p.toml").string()}).err;
    };
    const std::vector<NewTensor> model =
        model_with(random_tensor("cap_embedder.1.weight", HT_DTYPE_BF16, {64, 64}, 1), {}, "");
    EXPECT_NE(
        said(model, "nvfp4").find("comfyui refuses 'nvfp4' (1 matrix): ComfyUI counts this weight's columns"),
        std::string::npos)
        << last_.err;
    EXPECT_EQ(said(model, "fp8"), "");
    const std::string lora = said({random_tensor("x.lora_down.weight", HT_DTYPE_BF16, {64, 64}, 1),
                                   random_tensor("x.lora_up.weight", HT_DTYPE_BF16, {64, 64}, 1)},
                                  "fp8");
    EXPECT_NE(lora.find("the input is a LoRA: it changes the weights"), std::string::npos) << lora;
}

TEST_F(Target, WithoutOneAPlanWarnsOfWhatMainlineRefuses) {
    const std::string said = warnings("format = \"int8\"\nscaling = \"block\"\n", "");
    EXPECT_NE(
        said.find("mainline ComfyUI refuses layers labelled 'int8_blockwise'; it is loaded by comfyui-fork"),
        std::string::npos)
        << said;
    EXPECT_EQ(warnings("format = \"fp8\"\n", ""), "");
}

TEST_F(Target, PlainTensorsAreTakenInAnyLayout) {
    EXPECT_EQ(warnings("format = \"cast\"\nto = \"f16\"\n", "target = \"comfyui\"\n"), "");
    EXPECT_EQ(warnings("format = \"cast\"\nto = \"f16\"\n",
                       "target = \"bitsandbytes\"\nlayout = \"bitsandbytes\"\n"),
              "");
    expect_taken("bitsandbytes", "no quantized layers");
}

TEST_F(Target, ALoaderOfAnotherLayoutIsToldSo) {
    const std::string said = warnings("format = \"fp8\"\n", "target = \"bitsandbytes\"\n");
    EXPECT_NE(
        said.find("bitsandbytes does not read layout = \"comfyui\"; set [output] layout = \"bitsandbytes\""),
        std::string::npos)
        << said;
}

TEST_F(Target, ShardsAreWarnedOf) {
    const std::string said = warnings("format = \"fp8\"\n", "target = \"comfyui\"\nshard_size = \"64KiB\"\n");
    EXPECT_NE(said.find("comfyui reads single files only, and the output has "), std::string::npos) << said;
}

TEST_F(Target, MayBeALoaderThatTheUserDescribes) {
    std::filesystem::create_directory(folder_ / "halftone");
    write_text(folder_ / "halftone" / "loaders.toml",
               "[loader.mine]\nlayouts = [\"comfyui\"]\n"
               "[[label]]\nloader = \"mine\"\nlabel = \"int8_blockwise\"\ntakes = true\n");
    EXPECT_EQ(warnings("format = \"int8\"\nscaling = \"block\"\n", "target = \"mine\"\n"), "");
    const std::string said = warnings("format = \"fp8\"\n", "target = \"mine\"\n");
    EXPECT_NE(said.find("mine refuses 'float8_e4m3fn'"), std::string::npos) << said;
}

TEST_F(Target, OfAnUnknownLoaderTheKeyIsNamed) {
    attempt("format = \"fp8\"\n", "target = \"comfyiu\"\n");
    EXPECT_EQ(last_.code, 2);
    EXPECT_NE(last_.err.find("p.toml:"), std::string::npos) << last_.err;
    EXPECT_NE(last_.err.find("no loader 'comfyiu' is known; did you mean 'comfyui'?"), std::string::npos)
        << last_.err;
}

class InputScales : public Check {
  protected:
    // What was written; 0 if nothing was.
    float scale_after(const std::string& quantize, const std::string& layer = "blocks.0.proj") {
        run(quantize, "", with_statistics_ ? "statistics = \"statistics.safetensors\"\n" : "");
        const Checkpoint out = Checkpoint::open(folder_ / "in.safetensors");
        const Tensor* scale = out.find(layer + ".input_scale");
        if (!scale) return 0;
        EXPECT_EQ(scale->dtype, HT_DTYPE_F32);
        EXPECT_TRUE(scale->shape.empty());
        float value = 0;
        out.read(*scale, 0, std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }
    void write_statistics(const std::string& layer, float largest) {
        std::vector<float> inputs(100 * 256, 0.25F);
        inputs[70 * 256 + 3] = -largest;
        write_checkpoint(folder_ / "statistics.safetensors",
                         {float_tensor(layer + ".inputs", HT_DTYPE_F32, {100, 256}, inputs)});
        with_statistics_ = true;
    }
    bool with_statistics_ = false;
};

TEST_F(InputScales, AreWrittenWhereTheyAreWanted) {
    EXPECT_EQ(scale_after("format = \"fp8\"\n"), 0);
    EXPECT_EQ(scale_after("format = \"fp8\"\ninput_scale = \"always\"\n"), 1);
    EXPECT_EQ(scale_after("format = \"fp8\"\ninput_scale = \"never\"\n"), 0);
    EXPECT_EQ(
        scale_after("format = \"fp8\"\ninput_scale = \"always\"\n[[rule]]\nmatch = \"*\"\nformat = \"fp8\"\n"
                    "input_scale = \"never\"\n"),
        0)
        << "a rule overrides what it inherits";
    EXPECT_EQ(scale_after("format = \"mxfp8\"\ninput_scale = \"always\"\n"), 0)
        << "no loader of it reads one";
}

TEST_F(InputScales, AreMeasuredOnRecordedActivations) {
    write_statistics("blocks.0.proj", 89.6F);
    EXPECT_EQ(scale_after("format = \"fp8\"\ninput_scale = \"always\"\n"), 89.6F / 448);
    EXPECT_EQ(last_.err, "");
    EXPECT_EQ(scale_after("format = \"nvfp4\"\ninput_scale = \"always\"\n"), 89.6F / 2688);
    write_statistics("blocks.0.proj", 0.25F);
    EXPECT_EQ(scale_after("format = \"fp8\"\ninput_scale = \"always\"\n"), 0.25F / 448);
    EXPECT_EQ(scale_after("format = \"fp8\"\n"), 0) << "statistics alone ask for none";
}

TEST_F(InputScales, AreOneWhereNothingWasRecorded) {
    write_statistics("another.layer", 5);
    EXPECT_EQ(scale_after("format = \"fp8\"\ninput_scale = \"always\"\n"), 1);
    EXPECT_NE(last_.err.find("the input scales of 1 matrix are 1: no activations in statistics.safetensors"),
              std::string::npos)
        << last_.err;
}

}  // namespace
}  // namespace halftone::test
