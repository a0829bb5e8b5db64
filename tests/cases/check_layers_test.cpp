// `halftone check --for comfyui`: what its loader does with layers, tensor by tensor, and with files that are
// no models.

#include <cmath>
#include <gtest/gtest.h>

#include "tests/cases/check.hpp"

namespace halftone::test {
namespace {

TEST_F(Check, ALayerThatNoFormatHereReadsIsJudgedByItsTensors) {
    const auto layer = [&](const std::string& zeros_name, const std::string& text) {
        write({zeros("a.weight", HT_DTYPE_I8, {16, 64}), zeros("a.weight_scale", HT_DTYPE_BF16, {2, 16}),
               zeros("a." + zeros_name, HT_DTYPE_BF16, {2, 16}), marker("a", text)});
    };
    layer("weight_zeros", R"({"format": "awq_w4a16", "group_size": 64})");
    expect_taken("comfyui", "ComfyUI takes it; Halftone cannot read it: ");
    layer("weight_zeros", R"({"format": "awq_w4a16"})");
    expect_taken("comfyui");
    layer("weight_zero", R"({"format": "awq_w4a16"})");
    expect_refused("comfyui", {"it lacks its '.weight_zeros'"});
    layer("weight_zeros", R"({"format": "awq_w4a16", "group_size": 32, "params": {"group_size": 64}})");
    expect_refused("comfyui", {"its '.weight_scale' has the shape [2, 16], and ComfyUI takes [4, 16]"});
}

TEST_F(Check, WhatALoaderIgnoresIsRemarkedOn) {
    write({zeros("a.weight", HT_DTYPE_I8, {16, 64}), zeros("a.weight_scale", HT_DTYPE_F32, {16, 1}),
           zeros("a.input_scale", HT_DTYPE_F32, {}), zeros("a.colour", HT_DTYPE_F32, {3}),
           marker("a", int8_label)});
    expect_taken("comfyui", "ComfyUI does not read its '.colour', '.input_scale', and says so in its log");
}

TEST_F(Check, ScalesOfATypeThatCannotBeMultipliedWithAreRefused) {
    const auto layer = [&](ht_dtype scale, Shape shape) {
        write({zeros("a.weight", HT_DTYPE_U8, {16, 64}), zeros("a.weight_scale", scale, std::move(shape)),
               marker("a", int8_label)});
    };
    layer(HT_DTYPE_BF16, {16, 1});
    expect_taken("comfyui");
    layer(HT_DTYPE_F64, {16, 1});
    expect_refused("comfyui", {"its '.weight_scale' is F64, and ComfyUI takes F32, F16 or BF16"});
    layer(HT_DTYPE_F32, {16});
    expect_refused("comfyui", {"has the shape [16], and ComfyUI takes [], [1], [1, 1] or [16, 1]"});
}

TEST_F(Check, MarkersAreReadAsPythonReadsThem) {
    const auto layer = [&](const std::string& text) {
        write({zeros("a.weight", HT_DTYPE_I8, {16, 64}), zeros("a.weight_scale", HT_DTYPE_F32, {16, 1}),
               marker("a", text)});
    };
    layer("\xEF\xBB\xBF" + std::string(int8_label));
    expect_taken("comfyui");
    layer(R"({"format": "int8_tensorwise", "convrot": "no", "convrot_groupsize": "16"})");
    expect_taken("comfyui");
    layer(R"({"format": "int8_tensorwise", "convrot": 1})");
    expect_refused("comfyui", {"its rotation is of 256 columns, which do not divide its 64"});
    layer(R"({"format": "int8_tensorwise", "convrot": 0, "params": {"convrot": true}})");
    expect_taken("comfyui");
}

TEST_F(Check, AnEmbeddingsMarkerIsReadAtItsRoot) {
    write({zeros("embed_tokens.weight", HT_DTYPE_I8, {16, 64}),
           zeros("embed_tokens.weight_scale", HT_DTYPE_F32, {16, 1}),
           marker("embed_tokens",
                  R"({"format": "int8_tensorwise", "params": {"convrot": true, "convrot_groupsize": 64}})")});
    expect_refused("comfyui", {"its marker has convrot in params only"});
}

TEST_F(Check, AHeaderThatStopsTheLoaderIsAnObstacleAndAnyOtherIsNone) {
    const std::vector<NewTensor> tensors = {zeros("a.weight", HT_DTYPE_I8, {16, 64}),
                                            zeros("a.weight_scale", HT_DTYPE_F32, {16, 1}),
                                            marker("a", int8_label)};
    for (const char* harmless : {"", "no JSON", R"({"layers": {}})", "null"}) {
        write(tensors, {{"_quantization_metadata", harmless}});
        expect_taken("comfyui");
    }
    write(tensors, {{"_quantization_metadata", "{}"}});
    expect_refused("comfyui", {"ComfyUI stops at the header's '_quantization_metadata': KeyError 'layers'"});
    write(tensors, {{"_quantization_metadata", "[]"}});
    expect_refused("comfyui", {"TypeError"});
}

TEST_F(Check, OlderScalesCountWhereTheFileIsMarked) {
    const std::vector<NewTensor> layer = {zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}),
                                          zeros("a.scale_weight", HT_DTYPE_F32, {1})};
    write(layer);
    expect_refused("comfyui",
                   {"no tensor 'scaled_fp8' marks the file, and so ComfyUI takes the weight without "
                    "its scale"});
    std::vector<NewTensor> marked = layer;
    marked.push_back(zeros("scaled_fp8", HT_DTYPE_F32, {2}));
    write(marked);
    expect_taken("comfyui");
    marked.push_back(zeros("a.scale_input", HT_DTYPE_F32, {2}));
    write(marked);
    expect_refused("comfyui", {"takes input scales of one number only, and this has the shape [2]"});
}

TEST_F(Check, OlderWeightsOfAnotherTypeAreLookedAt) {
    const auto largest = [&](float value) {
        const std::vector<float> codes = {value, 1, -2, 0.5F};
        std::vector<std::byte> bytes;
        for (const float code : codes) {  // E5M2 is the upper half of F16
            const int exponent = code == 0 ? -15 : std::ilogb(code);
            const auto mantissa = static_cast<int>((std::abs(code) / std::ldexp(1.0F, exponent) - 1) * 4);
            bytes.push_back(static_cast<std::byte>((code < 0 ? 0x80 : 0) | (exponent + 15) << 2 | mantissa));
        }
        write({NewTensor{"a.weight", HT_DTYPE_F8_E5M2, {2, 2}, bytes},
               zeros("a.scale_weight", HT_DTYPE_F32, {1}), zeros("scaled_fp8", HT_DTYPE_F8_E5M2, {0})});
    };
    largest(448);
    expect_taken("comfyui");
    largest(512);
    expect_refused("comfyui", {"its weight is F8_E5M2, and ComfyUI converts it by value to F8_E4M3"});
}

TEST_F(Check, AWeightWhoseColumnsTheLoaderCountsMustNotBePacked) {
    const std::string marker4 = R"({"format": "nvfp4"})";
    for (const std::string prefix : {"", "model.diffusion_model."}) {
        write(model_with(
            zeros("cap_embedder.1.weight", HT_DTYPE_U8, {64, 32}),
            {zeros("cap_embedder.1.weight_scale", HT_DTYPE_F8_E4M3, {128, 4}),
             zeros("cap_embedder.1.weight_scale_2", HT_DTYPE_F32, {}), marker("cap_embedder.1", marker4)},
            prefix));
        expect_refused("comfyui",
                       {"ComfyUI counts this weight's columns to find out which model of Lumina 2"});
        write(model_with(zeros("cap_embedder.1.weight", HT_DTYPE_I8, {64, 32}),
                         {zeros("cap_embedder.1.weight_scale", HT_DTYPE_F32, {64, 1}),
                          marker("cap_embedder.1", int8_label)},
                         prefix));
        expect_taken("comfyui");
    }
    write(model_with(zeros("cap_embedder.1.weight", HT_DTYPE_BF16, {64, 32}),
                     {zeros("layers.0.w.weight", HT_DTYPE_U8, {64, 32}),
                      zeros("layers.0.w.weight_scale", HT_DTYPE_F8_E4M3, {128, 4}),
                      zeros("layers.0.w.weight_scale_2", HT_DTYPE_F32, {}), marker("layers.0.w", marker4)},
                     ""));
    expect_taken("comfyui");
}

TEST_F(Check, AModelThatTakesNothingBesideAWeightIsToldSo) {
    write({zeros("core.pixel_blocks.0.adaLN_modulation.0.weight", HT_DTYPE_I8, {64, 32}),
           zeros("core.pixel_blocks.0.adaLN_modulation.0.weight_scale", HT_DTYPE_F32, {64, 1}),
           marker("core.pixel_blocks.0.adaLN_modulation.0", int8_label)});
    expect_refused("comfyui", {"mistakes what stands beside this weight of PixelDiT for a weight, and stops: "
                               "IndexError"});
}

TEST_F(Check, OtherFilesThanModelsGetASentence) {
    write({zeros("x.lora_down.weight", HT_DTYPE_BF16, {4, 16}),
           zeros("x.lora_up.weight", HT_DTYPE_BF16, {16, 4})});
    expect_taken("comfyui", "note: it is a LoRA: it changes the weights of a model and is no model itself");
    write({zeros("decoder.conv_in.weight", HT_DTYPE_BF16, {4, 4, 3, 3}),
           zeros("decoder.conv_out.weight", HT_DTYPE_BF16, {4, 4, 3, 3})});
    expect_taken("comfyui", "note: it is a VAE: ");
    const auto diffusers = [&](ht_dtype dtype, std::vector<NewTensor> more) {
        more.push_back(zeros("transformer_blocks.0.attn.to_q.weight", dtype, {16, 16}));
        more.push_back(zeros("single_transformer_blocks.0.attn.to_q.weight", HT_DTYPE_BF16, {16, 16}));
        write(more);
    };
    diffusers(HT_DTYPE_BF16, {});
    expect_taken("comfyui", "note: it is a model in diffusers' layout: ");
    diffusers(HT_DTYPE_F8_E4M3, {zeros("transformer_blocks.0.attn.to_q.weight_scale", HT_DTYPE_F32, {}),
                                 marker("transformer_blocks.0.attn.to_q", fp8_label)});
    expect_refused("comfyui", {"the file is a model in diffusers' layout: "});
}

}  // namespace
}  // namespace halftone::test
