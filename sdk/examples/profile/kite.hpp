// acme.kite: a model profile is a table and nothing else. CMake makes the library from it.
#include <halftone/profile.hpp>

// The first rule whose text occurs in a tensor's whole name decides; what no rule names is quantized. Reasons
// are for the reader of a plan.
constexpr halftone::Rule rules[] = {
    {"ema_shadow.", HT_ACTION_REMOVE, 0, "a second copy of the weights, for training only"},
    {"tail.weight", HT_ACTION_KEEP, HT_VERDICT_COLUMNS,
     "no later layer evens out an error; loaders read its columns"},
    {"wind_embed", HT_ACTION_KEEP, 0, "it steers every block"},
};

// How a checkpoint's header shows the family. All conditions of a row must hold; points decide between
// families, the text is shown to the user.
constexpr halftone::Evidence evidence[] = {
    {100,
     "spars.0.cross.weight with 2048 rows: Kite XL",
     {halftone::extent("spars.0.cross.weight", 0, 2048), halftone::has("wind_embed.weight")}},
    {100,
     "spars.0.cross.weight: Kite",
     {halftone::has("spars.0.cross.weight"), halftone::lacks_below("balloon.")}},
};

constexpr halftone::Profile profile{
    .info = {"acme.kite", "1.0.0", "Kite models of all sizes", "MIT"},
    .rules = rules,
    .evidence = evidence,
};
