// T5-XXL and UMT5-XXL text encoders, and their smaller kin.
#pragma once

#include <halftone/profile.hpp>

namespace t5xxl {

constexpr const char* unused = "the text encoder does not use it";
constexpr const char* normalization = "a normalization: few numbers that scale everything after them";
constexpr const char* embedding = "a table that is looked up, not multiplied";
constexpr const char* other_part = "a small part of a larger model, sensitive and not worth its bytes";

}  // namespace t5xxl

// Removal first: it beats everything. Keys are whole, so "norm" covers "final_layer_norm" too, and "bias" the
// relative attention bias, which is a matrix.
constexpr halftone::Rule rules[] = {
    {"decoder", HT_ACTION_REMOVE, 0, t5xxl::unused},
    {"lm_head", HT_ACTION_REMOVE, 0, t5xxl::unused},
    {"norm", HT_ACTION_KEEP, 0, t5xxl::normalization},
    {"bias", HT_ACTION_KEEP, 0, "a bias: it is added, and tells positions apart"},
    {"embed_tokens", HT_ACTION_KEEP, 0, t5xxl::embedding},
    {"shared", HT_ACTION_KEEP, 0, t5xxl::embedding},
    {"patch_embedding", HT_ACTION_KEEP, 0, t5xxl::embedding},
    {"audio_model.patch_embedding", HT_ACTION_KEEP, 0, t5xxl::embedding},
    {"ref_conv", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"control_adapter", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"motion_encoder.enc.net_app", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"face_encoder.conv", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"pose_patch_embedding", HT_ACTION_KEEP, 0, t5xxl::embedding},
    {"motion_encoder.enc.fc", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"img_emb.proj", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"q_norm", HT_ACTION_KEEP, 0, t5xxl::normalization},
    {"motion_encoder.dec", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"head.modulation", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"casual_audio_encoder", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"cond_encoder", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"frame_packer", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"norm_k", HT_ACTION_KEEP, 0, t5xxl::normalization},
    {"norm_q", HT_ACTION_KEEP, 0, t5xxl::normalization},
    {"k_norm", HT_ACTION_KEEP, 0, t5xxl::normalization},
    {"tekken_model", HT_ACTION_KEEP, 0, "a tokenizer, no weights"},
    {"multi_modal_projector", HT_ACTION_KEEP, 0, t5xxl::other_part},
    {"patch_conv", HT_ACTION_KEEP, 0, t5xxl::embedding},
    {"ln_pre", HT_ACTION_KEEP, 0, t5xxl::normalization},
    {"input_layernorm", HT_ACTION_KEEP, 0, t5xxl::normalization},
    {"attention_norm", HT_ACTION_KEEP, 0, t5xxl::normalization},
    {"post_attention_layernorm", HT_ACTION_KEEP, 0, t5xxl::normalization},
    // Loaders tell XL from XXL by its rows.
    {"DenseReluDense.wi_1.weight", HT_ACTION_QUANTIZE, HT_VERDICT_ROWS, nullptr},
};

constexpr halftone::Evidence evidence[] = {
    {100,
     "encoder.block.23.layer.1.DenseReluDense.wi_1 with 10240 rows: T5-XXL or UMT5-XXL",
     {halftone::extent("encoder.block.23.layer.1.DenseReluDense.wi_1.weight", 0, 10240)}},
    {100,
     "encoder.block.23.layer.1.DenseReluDense.wi_1 with 5120 rows: T5-XL",
     {halftone::extent("encoder.block.23.layer.1.DenseReluDense.wi_1.weight", 0, 5120)}},
    {100,
     "encoder.block.23.layer.1.DenseReluDense.wi: the first, ungated T5-XXL",
     {halftone::has("encoder.block.23.layer.1.DenseReluDense.wi.weight")}},
    {60,
     "encoder.block.0.layer.0.SelfAttention.k with 384 rows: ByT5 for glyphs",
     {halftone::extent("encoder.block.0.layer.0.SelfAttention.k.weight", 0, 384)}},
    {50,
     "encoder.block.0.layer.0.SelfAttention: a smaller T5",
     {halftone::has("encoder.block.0.layer.0.SelfAttention.k.weight")}},
};

constexpr halftone::Profile profile{
    .info = {"t5xxl", "1.0.0", "T5-XXL and UMT5-XXL text encoders", "MIT"},
    .rules = rules,
    .evidence = evidence,
    .flags = HT_VERDICT_INPUT_SCALE,  // their loaders expect one beside every scale
};
