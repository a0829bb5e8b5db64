#include <array>

#include "core/pipeline/schema.hpp"
#include "plugins/layouts.hpp"

namespace halftone::schema {
namespace {

constexpr std::array<Section, 13> all_sections = {{
    {"input", Shape::once, false, "the checkpoint to read"},
    {"output", Shape::once, false, "the checkpoint to write"},
    {"model", Shape::once, false, "which profile knows the layers that must stay untouched"},
    {"quantize", Shape::once, true, "how matrices are stored unless something below says otherwise"},
    {"format", Shape::by_id, false, "options of a format wherever that format is used"},
    {"optimizer", Shape::by_id, false, "options of an optimizer wherever it is used"},
    {"profile", Shape::by_id, false, "options of a model profile"},
    {"rule", Shape::many, true, "what to do with the tensors whose names match"},
    {"fallback", Shape::once, true, "how to store the matrices that the profile would keep"},
    {"rounding", Shape::once, false, "what learned rounding minimizes"},
    {"bias", Shape::once, false, "correction of biases"},
    {"run", Shape::once, false, "the resources of a run; they change no byte that is rounded to nearest"},
    {"report", Shape::once, false, "reports beside the summary"},
}};

constexpr double most_exact = 9007199254740992;  // integers up to here survive in a double

}  // namespace

std::span<const Section> sections() {
    return all_sections;
}

std::span<const Key> keys() {
    constexpr Type boolean = Type::boolean, integer = Type::integer, real = Type::real, size = Type::size,
                   text = Type::text, path = Type::path, choice = Type::choice, plugin = Type::plugin;
    static const std::vector<Key> all_keys = {
        // clang-format off
        {.section = "input", .name = "path", .type = path, .fallback_note = "required",
         .help = "a safetensors file, the index of a sharded checkpoint, or a folder that holds one",
         .example = R"(path = "models/base.safetensors")", .in_recipe = false},
        {.section = "input", .name = "statistics", .type = path, .fallback = R"("")",
         .help = "activation statistics of the layers, for objectives, biases and input scales that use them",
         .example = R"(statistics = "base-statistics.safetensors")"},

        {.section = "output", .name = "path", .type = path, .fallback_note = "required",
         .help = "the file to write; with `shard_size` its shards and index are named after it",
         .example = R"(path = "models/small.safetensors")", .in_recipe = false},
        {.section = "output", .name = "replace", .type = boolean, .fallback = "false",
         .help = "replace an existing output", .example = "replace = true", .in_recipe = false},
        {.section = "output", .name = "kept", .type = choice, .fallback = R"("source")",
         .choices = {"source", "bf16", "f16"},
         .help = "the dtype of wider floating-point tensors that are kept: as in the input, or narrowed to "
                 "this",
         .example = R"(kept = "bf16")"},
        {.section = "output", .name = "shard_size", .type = size, .fallback = "0",
         .fallback_note = "`0`: one file", .least = 4096, .most = most_exact,
         .help = "begin another file before one grows beyond this; a larger tensor gets a file of its own",
         .example = R"(shard_size = "5GiB")"},
        {.section = "output", .name = "layout", .type = choice, .fallback = R"("comfyui")",
         .choices = {layout_names.begin(), layout_names.end()},
         .help = "which loaders' names and markers the stored layers get",
         .example = R"(layout = "legacy")"},
        {.section = "output", .name = "metadata", .type = choice, .fallback = R"("both")",
         .choices = {"both", "tensor", "header"},
         .help = "how layers are described: by marker tensors, in the file's header, or both",
         .example = R"(metadata = "tensor")"},
        {.section = "output", .name = "recipe", .type = boolean, .fallback = "true",
         .help = "write into the header how the file was made", .example = "recipe = false"},
        {.section = "output", .name = "target", .type = text, .fallback = R"("any")",
         .help = "warn of what this loader would refuse: comfyui, comfyui-fork, bitsandbytes or another that "
                 "loaders.toml describes; \"any\" warns of what nobody or not ComfyUI takes",
         .example = R"(target = "comfyui")", .in_recipe = false},

        {.section = "model", .name = "profile", .type = Type::plugins, .fallback = R"("auto")",
         .choices = {"auto", "none"}, .plugin_kind = "profile",
         .help = "detect the model's family, use no profile, or use these: a tensor that one of them "
                 "protects is protected",
         .example = R"(profile = ["acme.dit", "acme.text"])"},

        {.section = "quantize", .name = "format", .type = plugin, .fallback_note = "required",
         .choices = {"keep"}, .plugin_kind = "format",
         .help = "how matrices are stored; `\"keep\"` leaves alone what no rule names",
         .example = R"(format = "acme.int4")"},
        {.section = "quantize", .name = "optimizer", .type = plugin, .fallback = R"("none")",
         .choices = {"none"}, .plugin_kind = "optimizer",
         .help = "how rounding is chosen; `\"none\"` rounds to nearest",
         .example = R"(optimizer = "acme.round")"},
        {.section = "quantize", .name = "embeddings", .type = plugin, .fallback = R"("keep")",
         .choices = {"keep"}, .plugin_kind = "format",
         .help = "how embedding tables are stored", .example = R"(embeddings = "acme.int4")"},
        {.section = "quantize", .name = "on_refusal", .type = choice, .fallback = R"("keep")",
         .choices = {"keep", "error"},
         .help = "when a format cannot take a matrix: keep it and count it, or stop",
         .example = R"(on_refusal = "error")"},
        {.section = "quantize", .name = "on_nonfinite", .type = choice, .fallback = R"("error")",
         .choices = {"error", "keep"},
         .help = "when a weight holds NaN or infinity: stop, or keep it",
         .example = R"(on_nonfinite = "keep")"},
        {.section = "quantize", .name = "full_precision_matrix_mult", .type = boolean,
         .fallback_note = "as in the source",
         .help = "mark layers so that loaders multiply in full precision; without it layers that are marked "
                 "so keep their mark",
         .example = "full_precision_matrix_mult = true"},
        {.section = "quantize", .name = "input_scale", .type = choice, .fallback = R"("auto")",
         .choices = {"auto", "always", "never"},
         .help = "input scales: where the source has calibrated ones and where format or profile ask for "
                 "them, wherever the format allows them, or nowhere that can do without",
         .example = R"(input_scale = "always")"},

        {.section = "rule", .name = "name", .type = text, .fallback_note = "its number: `rule 2`",
         .help = "what summaries call the rule; no two may be the same", .example = R"(name = "attention")"},
        {.section = "rule", .name = "match", .type = Type::texts, .fallback_note = "none",
         .help = "one or more globs, each over the whole name of a tensor",
         .example = R"(match = ["*.attn.*.weight", "head.?.weight"])"},
        {.section = "rule", .name = "regex", .type = Type::texts, .fallback_note = "none",
         .help = "one or more regular expressions, searched anywhere in the name",
         .example = R"(regex = 'blocks\.(1?\d)\.mlp')"},
        {.section = "rule", .name = "action", .type = choice,
         .fallback_note = "`\"quantize\"` if the rule has a format",
         .choices = {"quantize", "keep", "remove"},
         .help = "quantize the tensor, copy it unchanged, or leave it out of the output",
         .example = R"(action = "keep")"},
        {.section = "rule", .name = "format", .type = plugin, .fallback_note = "as in `[quantize]`",
         .plugin_kind = "format",
         .help = "how the matched matrices are stored", .example = R"(format = "acme.int4")"},
        {.section = "rule", .name = "optimizer", .type = plugin, .fallback_note = "as in `[quantize]`",
         .choices = {"none"}, .plugin_kind = "optimizer",
         .help = "how their rounding is chosen", .example = R"(optimizer = "none")"},
        {.section = "rule", .name = "full_precision_matrix_mult", .type = boolean,
         .fallback_note = "as in `[quantize]`",
         .help = "mark them so that loaders multiply in full precision",
         .example = "full_precision_matrix_mult = true"},
        {.section = "rule", .name = "input_scale", .type = choice, .fallback_note = "as in `[quantize]`",
         .choices = {"auto", "always", "never"},
         .help = "their input scales", .example = R"(input_scale = "never")"},
        {.section = "rule", .name = "reason", .type = text, .fallback = R"("")",
         .help = "why, for the plan and the summary", .example = R"(reason = "blurs faces otherwise")"},

        {.section = "fallback", .name = "format", .type = plugin, .fallback_note = "required",
         .choices = {"keep"}, .plugin_kind = "format",
         .help = "how the profile's protected matrices are stored", .example = R"(format = "acme.int4")"},
        {.section = "fallback", .name = "optimizer", .type = plugin, .fallback_note = "as in `[quantize]`",
         .choices = {"none"}, .plugin_kind = "optimizer",
         .help = "how their rounding is chosen", .example = R"(optimizer = "none")"},
        {.section = "fallback", .name = "full_precision_matrix_mult", .type = boolean,
         .fallback_note = "as in `[quantize]`",
         .help = "mark them so that loaders multiply in full precision",
         .example = "full_precision_matrix_mult = true"},
        {.section = "fallback", .name = "input_scale", .type = choice, .fallback_note = "as in `[quantize]`",
         .choices = {"auto", "always", "never"},
         .help = "their input scales", .example = R"(input_scale = "never")"},

        {.section = "rounding", .name = "objective", .type = text, .fallback = R"("svd")",
         .help = "the error to make small: `\"svd\"`, `\"squared\"`, `\"activation\"`, or a file of factors",
         .example = R"(objective = "squared")"},
        {.section = "rounding", .name = "judge", .type = text, .fallback = R"("auto")",
         .help = "what decides between candidates: an objective, a weighted sum of them, or `\"auto\"` for "
                 "the objective with a cap on the squared error",
         .example = R"(judge = "svd + 0.1 * squared")"},
        {.section = "rounding", .name = "squared_error_cap", .type = real, .fallback = "1.03", .least = 1,
         .most = 1000,
         .help = "the cap of `judge = \"auto\"`, as a multiple of plain rounding's squared error",
         .example = "squared_error_cap = 1.1"},
        {.section = "rounding", .name = "seed", .type = integer, .fallback = "0", .most = most_exact,
         .help = "the seed of everything random", .example = "seed = 7"},
        {.section = "rounding", .name = "top_p", .type = real, .fallback = "0.2", .least = 0.001, .most = 1,
         .help = "the share of singular directions that count", .example = "top_p = 0.1"},
        {.section = "rounding", .name = "min_rank", .type = integer, .fallback = "64", .least = 1,
         .most = 1048576,
         .help = "at least so many directions", .example = "min_rank = 16"},
        {.section = "rounding", .name = "max_rank", .type = integer, .fallback = "1024", .least = 1,
         .most = 1048576,
         .help = "at most so many directions", .example = "max_rank = 256"},
        {.section = "rounding", .name = "max_elements", .type = integer, .fallback = "268435456", .least = 1,
         .most = most_exact,
         .help = "larger matrices are rounded to nearest", .example = "max_elements = 100_000_000"},

        {.section = "bias", .name = "correction", .type = choice, .fallback = R"("none")",
         .choices = {"none", "synthetic", "statistics"},
         .help = "correct biases for the mean error of a layer, from random or from recorded activations",
         .example = R"(correction = "statistics")", .available = false},
        {.section = "bias", .name = "samples", .type = integer, .fallback = "3072", .least = 1,
         .most = 16777216,
         .help = "how many random activations", .example = "samples = 6144", .available = false},
        {.section = "bias", .name = "seed", .type = integer, .fallback = "0", .most = most_exact,
         .help = "their seed", .example = "seed = 7", .available = false},

        {.section = "run", .name = "threads", .type = integer, .fallback = "0",
         .fallback_note = "`0`: every processor", .most = 4096,
         .help = "how many threads work", .example = "threads = 8", .in_recipe = false},
        {.section = "run", .name = "memory", .type = size, .fallback = "0", .fallback_note = "`0`: 160 MiB, or what the largest tensor needs",
         .least = 64.0 * 1024 * 1024, .most = most_exact,
         .help = "how much memory the weights under way may take; decides how much is worked on at once",
         .example = R"(memory = "2GiB")", .in_recipe = false},
        {.section = "run", .name = "device", .type = plugin, .fallback = R"("auto")",
         .choices = {"auto", "cpu"}, .plugin_kind = "device",
         .help = "where rounding is learned, and matrices rounded where a device is named: \"auto\" takes the "
                 "first device that works, or the CPU",
         .example = R"(device = "cpu")", .in_recipe = false},
        {.section = "run", .name = "verify", .type = boolean, .fallback = "false",
         .help = "read the output back and check it before it gets its name", .example = "verify = true",
         .in_recipe = false},

        {.section = "report", .name = "json", .type = path, .fallback = R"("")",
         .fallback_note = "no such report",
         .help = "a file for the whole report as JSON", .example = R"(json = "small.report.json")",
         .in_recipe = false},
        {.section = "report", .name = "html", .type = path, .fallback = R"("")",
         .fallback_note = "no such report",
         .help = "a file for the report as a page", .example = R"(html = "small.report.html")",
         .available = false, .in_recipe = false},
        {.section = "report", .name = "trace", .type = path, .fallback = R"("")",
         .fallback_note = "no such report",
         .help = "a folder for what learned rounding did in each iteration",
         .example = R"(trace = "small.trace")", .in_recipe = false},
        // clang-format on
    };
    return all_keys;
}

}  // namespace halftone::schema
