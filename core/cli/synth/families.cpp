#include "core/cli/synth/family.hpp"

namespace halftone::synth {

namespace {

using enum Kind;

// Flux.1 dev, in the layout of the original release. One layer is one double block and two single blocks,
// which is the real model's proportion.
Family flux() {
    return {"flux",
            "Flux.1 dev, a diffusion transformer",
            19,
            {{"hidden", {128, 512, 3072}},
             {"mlp", {256, 2048, 12288}},
             {"head", {64, 128, 128}},
             {"context", {128, 512, 4096}},
             {"vector", {64, 128, 768}},
             {"time", {64, 128, 256}},
             {"patch", {64, 64, 64}}},
            {{"",
              0,
              {{"img_in.weight", "hidden, patch", matrix},
               {"img_in.bias", "hidden", bias},
               {"txt_in.weight", "hidden, context", matrix},
               {"txt_in.bias", "hidden", bias},
               {"time_in.in_layer.weight", "hidden, time", matrix},
               {"time_in.in_layer.bias", "hidden", bias},
               {"time_in.out_layer.weight", "hidden, hidden", matrix},
               {"time_in.out_layer.bias", "hidden", bias},
               {"vector_in.in_layer.weight", "hidden, vector", matrix},
               {"vector_in.in_layer.bias", "hidden", bias},
               {"vector_in.out_layer.weight", "hidden, hidden", matrix},
               {"vector_in.out_layer.bias", "hidden", bias},
               {"guidance_in.in_layer.weight", "hidden, time", matrix},
               {"guidance_in.in_layer.bias", "hidden", bias},
               {"guidance_in.out_layer.weight", "hidden, hidden", matrix},
               {"guidance_in.out_layer.bias", "hidden", bias},
               {"final_layer.adaLN_modulation.1.weight", "2*hidden, hidden", matrix},
               {"final_layer.adaLN_modulation.1.bias", "2*hidden", bias},
               {"final_layer.linear.weight", "patch, hidden", matrix},
               {"final_layer.linear.bias", "patch", bias}}},
             {"double_blocks.{i}.", 1, {{"img_attn.norm.key_norm.scale", "head", norm},
                                        {"img_attn.norm.query_norm.scale", "head", norm},
                                        {"img_attn.qkv.weight", "3*hidden, hidden", matrix},
                                        {"img_attn.qkv.bias", "3*hidden", bias},
                                        {"img_attn.proj.weight", "hidden, hidden", matrix},
                                        {"img_attn.proj.bias", "hidden", bias},
                                        {"img_mlp.0.weight", "mlp, hidden", matrix},
                                        {"img_mlp.0.bias", "mlp", bias},
                                        {"img_mlp.2.weight", "hidden, mlp", matrix},
                                        {"img_mlp.2.bias", "hidden", bias},
                                        {"img_mod.lin.weight", "6*hidden, hidden", matrix},
                                        {"img_mod.lin.bias", "6*hidden", bias},
                                        {"txt_attn.norm.key_norm.scale", "head", norm},
                                        {"txt_attn.norm.query_norm.scale", "head", norm},
                                        {"txt_attn.qkv.weight", "3*hidden, hidden", matrix},
                                        {"txt_attn.qkv.bias", "3*hidden", bias},
                                        {"txt_attn.proj.weight", "hidden, hidden", matrix},
                                        {"txt_attn.proj.bias", "hidden", bias},
                                        {"txt_mlp.0.weight", "mlp, hidden", matrix},
                                        {"txt_mlp.0.bias", "mlp", bias},
                                        {"txt_mlp.2.weight", "hidden, mlp", matrix},
                                        {"txt_mlp.2.bias", "hidden", bias},
                                        {"txt_mod.lin.weight", "6*hidden, hidden", matrix},
                                        {"txt_mod.lin.bias", "6*hidden", bias}}},
             {"single_blocks.{i}.",
              2,
              {{"linear1.weight", "3*hidden + mlp, hidden", matrix},
               {"linear1.bias", "3*hidden + mlp", bias},
               {"linear2.weight", "hidden, hidden + mlp", matrix},
               {"linear2.bias", "hidden", bias},
               {"modulation.lin.weight", "3*hidden, hidden", matrix},
               {"modulation.lin.bias", "3*hidden", bias},
               {"norm.key_norm.scale", "head", norm},
               {"norm.query_norm.scale", "head", norm}}}}};
}

// T5 v1.1 XXL, the encoder alone, as text encoders of diffusion models are shipped.
Family t5xxl() {
    return {"t5xxl",
            "T5 v1.1 XXL encoder, a text encoder",
            24,
            {{"model", {128, 512, 4096}},
             {"inner", {128, 512, 4096}},
             {"ff", {320, 1280, 10240}},
             {"heads", {2, 8, 64}},
             {"buckets", {32, 32, 32}},
             {"vocabulary", {256, 4096, 32128}}},
            {{"",
              0,
              {{"shared.weight", "vocabulary, model", embedding},
               {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "buckets, heads",
                embedding},
               {"encoder.final_layer_norm.weight", "model", norm}}},
             {"encoder.block.{i}.",
              1,
              {{"layer.0.SelfAttention.q.weight", "inner, model", matrix},
               {"layer.0.SelfAttention.k.weight", "inner, model", matrix},
               {"layer.0.SelfAttention.v.weight", "inner, model", matrix},
               {"layer.0.SelfAttention.o.weight", "model, inner", matrix},
               {"layer.0.layer_norm.weight", "model", norm},
               {"layer.1.DenseReluDense.wi_0.weight", "ff, model", matrix},
               {"layer.1.DenseReluDense.wi_1.weight", "ff, model", matrix},
               {"layer.1.DenseReluDense.wo.weight", "model, ff", matrix},
               {"layer.1.layer_norm.weight", "model", norm}}}}};
}

}  // namespace

std::span<const Family> families() {
    static const std::array<Family, 2> all = {flux(), t5xxl()};
    return all;
}

}  // namespace halftone::synth
