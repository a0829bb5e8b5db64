// Flux.1 and what is built like it: dev, schnell, fill, LongCat, Ovis.
#pragma once

#include <halftone/profile.hpp>

// Keys are whole: "model.diffusion_model.img_in.weight" contains "img_in" too.
constexpr halftone::Rule rules[] = {
    {"img_in.weight", HT_ACTION_KEEP, HT_VERDICT_COLUMNS,
     "the image enters here: an error reaches every block, and loaders read its columns"},
    {"txt_in.weight", HT_ACTION_KEEP, HT_VERDICT_COLUMNS,
     "the text enters here: an error reaches every block, and loaders read its columns"},
    {"img_in", HT_ACTION_KEEP, 0, "the image enters here: an error reaches every block"},
    {"txt_in", HT_ACTION_KEEP, 0, "the text enters here: an error reaches every block"},
    {"final_layer", HT_ACTION_KEEP, 0, "the image leaves here: no later layer evens out an error"},
    {"distilled_guidance_layer", HT_ACTION_KEEP, 0, "it makes the modulation of every block"},
    // Quantized, but 4-bit formats must leave the number of columns alone: loaders tell variants apart by it.
    {"vector_in.in_layer.weight", HT_ACTION_QUANTIZE, HT_VERDICT_COLUMNS, nullptr},
};

namespace flux {

// The family by its double blocks; its relatives have one thing more.
constexpr halftone::Condition blocks = halftone::has_either("double_blocks.0.img_attn.norm.key_norm.weight",
                                                            "double_blocks.0.img_attn.norm.key_norm.scale");
constexpr halftone::Condition image = halftone::has("img_in.weight");
constexpr halftone::Condition not_flux2 = halftone::lacks("double_stream_modulation_img.lin.weight");
constexpr halftone::Condition not_chroma = halftone::lacks_below("distilled_guidance_layer.");
constexpr halftone::Condition not_radiance = halftone::lacks_below("nerf_");

}  // namespace flux

constexpr halftone::Evidence evidence[] = {
    {100,
     "double_blocks.0.img_attn.norm, double_blocks.0.img_mlp.gate_proj: Ovis-Image",
     {flux::blocks, flux::image, flux::not_flux2, flux::not_chroma, flux::not_radiance,
      halftone::has("double_blocks.0.img_mlp.gate_proj.weight"),
      halftone::has_either("txt_norm.weight", "txt_norm.scale")}},
    {100,
     "double_blocks.0.img_attn.norm, txt_in with 3584 columns, no vector_in: LongCat-Image",
     {flux::blocks, flux::image, flux::not_flux2, flux::not_chroma, flux::not_radiance,
      halftone::extent("txt_in.weight", 1, 3584), halftone::lacks("vector_in.in_layer.weight")}},
    {100,
     "double_blocks.0.img_attn.norm, img_in with 384 columns: Flux.1 fill",
     {flux::blocks, flux::image, flux::not_flux2, flux::not_chroma, flux::not_radiance,
      halftone::extent("img_in.weight", 1, 384)}},
    {100,
     "double_blocks.0.img_attn.norm, guidance_in: Flux.1 dev",
     {flux::blocks, flux::image, flux::not_flux2, flux::not_chroma, flux::not_radiance,
      halftone::has("guidance_in.in_layer.weight")}},
    {100,
     "double_blocks.0.img_attn.norm, no guidance_in: Flux.1 schnell",
     {flux::blocks, flux::image, flux::not_flux2, flux::not_chroma, flux::not_radiance}},
};

constexpr halftone::Profile profile{
    .info = {"flux", "1.0.0", "Flux.1 diffusion models: dev, schnell, fill and their kin", "MIT"},
    .rules = rules,
    .evidence = evidence,
};
