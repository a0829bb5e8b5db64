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

TEST_F(Check, WhatIsNestedWithoutEndIsRefusedAndStopsNothingElse) {
    const auto nested = [](size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
    const std::vector<NewTensor> layer = {zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}),
                                          zeros("a.weight_scale", HT_DTYPE_F32, {})};
    for (const size_t levels : {600U, 120'000U, 2'000'000U}) {
        write(layer, header("a", R"({"format": "float8_e4m3fn", "x": )" + nested(levels) + "}"));
        expect_refused("comfyui", {"ComfyUI stops at the header's '_quantization_metadata': RecursionError"});
    }
    std::vector<NewTensor> marked = layer;
    marked.push_back(marker("a", R"({"format": "float8_e4m3fn", "x": )" + nested(30'000) + "}"));
    write(marked);
    expect_refused("comfyui", {"its marker is nested too deeply"});
    write(marked, header("a", fp8_label));
    EXPECT_EQ(check("comfyui").code, 0) << "the header counts";
}

TEST_F(Check, NamesInAMarkerMayBeWrittenWithEscapes) {
    write({zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}), zeros("a.weight_scale", HT_DTYPE_F32, {}),
           marker("a", R"({"\u0066ormat": "float8\u005fe4m3fn", "x": 1})")});
    expect_taken("comfyui", "(fp8)");
}

TEST_F(Check, WhereTheMarkerAsksForFullPrecisionNoActivationsAreQuantized) {
    const auto layer = [&](const std::string& value) {
        write({zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}), zeros("a.weight_scale", HT_DTYPE_F32, {}),
               marker("a", R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": )" + value + "}")});
    };
    for (const char* value : {"true", "1", R"("no")"}) {
        layer(value);
        expect_taken("comfyui", "activations: none: ");
        EXPECT_EQ(check("comfyui").out.find("fast on"), std::string::npos) << value;
    }
    for (const char* value : {"false", "0", "null"}) {
        layer(value);
        expect_taken("comfyui", "fast on NVIDIA from Ada on");
    }
    write({zeros("a.weight", HT_DTYPE_F8_E4M3, {4, 4}), zeros("a.weight_scale", HT_DTYPE_F32, {}),
           marker("a", R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})"),
           zeros("b.weight", HT_DTYPE_F8_E4M3, {4, 4}), zeros("b.weight_scale", HT_DTYPE_F32, {}),
           marker("b", fp8_label)});
    expect_taken("comfyui", "activations: none: ");
    expect_taken("comfyui", "fast on NVIDIA from Ada on");
    const auto older = [&](Shape shape) {
        write({zeros("x.a.weight", HT_DTYPE_F8_E4M3, {4, 4}), zeros("x.a.scale_weight", HT_DTYPE_F32, {1}),
               zeros("x.scaled_fp8", HT_DTYPE_F8_E4M3, std::move(shape))});
    };
    older({2});
    expect_taken("comfyui", "activations: none: ");
    older({0});
    expect_taken("comfyui", "fast on NVIDIA from Ada on");
}

TEST_F(Check, AnOlderMarkSpeaksForWhatIsBelowItsPrefix) {
    const auto layer = [&](const std::string& mark) {
        write({zeros("x.y.a.weight", HT_DTYPE_F8_E4M3, {4, 4}),
               zeros("x.y.a.scale_weight", HT_DTYPE_F32, {1}), zeros(mark, HT_DTYPE_F8_E4M3, {0})});
    };
    for (const char* mark : {"scaled_fp8", "x.scaled_fp8", "x.y.scaled_fp8", "x.y.a.scaled_fp8"}) {
        layer(mark);
        expect_taken("comfyui");
    }
    for (const char* mark : {"y.scaled_fp8", "x.y.b.scaled_fp8"}) {
        layer(mark);
        EXPECT_EQ(check("comfyui").code, 1) << mark;
    }
}

TEST_F(Check, AStackMayLieFlatWhereTheLoaderFlattensIt) {
    constexpr const char* asym = R"({"format": "asym_w4a8_int8", "num_experts": 4})";
    const auto layer = [&](Shape rel, Shape channel, Shape bias) {
        write({zeros("mlp.experts.up.weight", HT_DTYPE_I8, {4 * 32, 128}),
               zeros("mlp.experts.up.weight_s_rel", HT_DTYPE_F8_E4M3, std::move(rel)),
               zeros("mlp.experts.up.weight_s_channel", HT_DTYPE_F32, std::move(channel)),
               zeros("mlp.experts.up.bias", HT_DTYPE_F32, std::move(bias)), marker("mlp.experts.up", asym)});
    };
    for (const Shape& rel : {Shape{128, 16}, Shape{4, 32, 16}})
        for (const Shape& channel : {Shape{128}, Shape{4, 32}}) {
            layer(rel, channel, {4, 32});
            expect_taken("comfyui", "4 bits, as its weights are, and int8 after that");
            expect_taken("comfyui", "since 0.38.1");
            EXPECT_EQ(check("comfyui").out.find("Halftone cannot read it"), std::string::npos);
        }
    layer({128, 16}, {128}, {128});
    expect_refused("comfyui", {"its '.bias' has the shape [128], and ComfyUI takes [4, 32]"});

    const auto int8 = [&](Shape scale) {
        write({zeros("mlp.experts.up.weight", HT_DTYPE_I8, {4 * 32, 256}),
               zeros("mlp.experts.up.weight_scale", HT_DTYPE_F32, std::move(scale)),
               marker("mlp.experts.up", R"({"format": "int8_tensorwise", "num_experts": 4})")});
    };
    int8({4, 32, 1});
    expect_taken("comfyui", "int8 of the whole batch");
    int8({128, 1});
    expect_refused("comfyui", {"the rows of 4 experts below each other, and ComfyUI needs three dimensions"});
}

TEST_F(Check, AColumnScaleMayBeOneNumberOfAnyShapeThatBroadcasts) {
    const auto layer = [&](Shape scale) {
        write({zeros("a.weight", HT_DTYPE_U8, {64, 128}),
               zeros("a.weight_scale", HT_DTYPE_F8_E4M3, {128, 16}),
               zeros("a.weight_scale_2", HT_DTYPE_F32, {}),
               zeros("a.pre_quant_scale", HT_DTYPE_F32, std::move(scale)),
               marker("a", R"({"format": "nvfp4"})")});
    };
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}, Shape{256}, Shape{1, 256}}) {
        layer(shape);
        expect_taken("comfyui");
    }
    for (const Shape& shape : {Shape{256, 1}, Shape{1, 1, 256}, Shape{128}}) {
        layer(shape);
        expect_refused("comfyui", {"its '.pre_quant_scale' has the shape"});
    }
}

}  // namespace
}  // namespace halftone::test
