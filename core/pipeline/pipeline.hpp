#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plugins/options.hpp"

namespace halftone {

// A format or optimizer as the user named it, with the options written beside it. Options of the id's own
// defaults table ([format.ID]) are already merged in underneath.
struct PluginChoice {
    std::string id;
    std::string where;  // where the id was written: "p.toml:4:10"
    GivenOptions options;
};

// Where layers get an input scale.
enum class InputScale { automatic, always, never };

// How a matrix is to be stored.
struct Treatment {
    PluginChoice format;                                  // id "keep": left as it is
    PluginChoice optimizer;                               // id "none": round to nearest
    std::optional<bool> full_precision_matrix_mult = {};  // nothing: as in the source
    InputScale input_scale = InputScale::automatic;
};

// What learned rounding makes small: a word of ours, or a file of factors.
struct ObjectiveChoice {
    std::string name;            // "svd", "squared", "activation"; empty with a file
    std::filesystem::path file;  // LAYER.left and LAYER.right
};

enum class RuleAction { quantize, keep, remove };

// One [[rule]]. The first rule that matches a tensor decides, before the profile.
struct Rule {
    std::string name;                // for reasons and summaries; "rule 2" if none was given
    std::vector<std::string> match;  // globs over the whole name, `*` crosses dots
    std::vector<std::string> regex;  // searched in the name; either kind may match
    RuleAction action = RuleAction::quantize;
    Treatment treatment;  // for RuleAction::quantize
    std::string reason;
    std::string where;
    std::string regex_where;  // of the regular expressions, for when one turns out to be none
};

enum class Kept { source, bf16, f16 };
enum class MetadataForm { both, tensor, header };
enum class OnRefusal { keep, error };
enum class OnNonfinite { error, keep };

// A whole pipeline, checked as far as that goes without looking at checkpoints and plugins.
struct Pipeline {
    struct Input {
        std::filesystem::path path;
        std::string where;
        std::filesystem::path statistics;  // activations by layer; empty: none
        std::string statistics_where;
    } input;
    struct Output {
        std::filesystem::path path;
        std::string where;
        bool path_from_file = false;  // not from the command line: it may be a stranger's
        bool replace = false;
        bool replace_from_file = false;
        Kept kept = Kept::source;
        uint64_t shard_size = 0;         // 0: one file
        std::string layout = "comfyui";  // "comfyui" | "legacy" | "bitsandbytes"
        MetadataForm metadata = MetadataForm::both;
        bool recipe = true;
        std::string target = "any";  // a loader's id: the plan warns of what it would refuse
        std::string target_where;
    } output;
    struct ModelChoice {
        std::vector<std::string> profiles = {"auto"};              // {"auto"}, {"none"} or ids
        std::map<std::string, GivenOptions, std::less<>> options;  // [profile.ID]
        std::string where;
    } model;
    struct Quantize {
        Treatment treatment;
        PluginChoice embeddings;  // id "keep" or a format
        OnRefusal on_refusal = OnRefusal::keep;
        OnNonfinite on_nonfinite = OnNonfinite::error;
    } quantize;
    std::vector<Rule> rules;
    std::optional<Treatment> fallback;  // for what the profile would keep
    struct Rounding {
        struct Term {
            double weight = 1;
            ObjectiveChoice objective;
        };
        ObjectiveChoice objective{"svd", {}};
        std::vector<Term> judge;          // empty: "auto", the objective with the cap
        double squared_error_cap = 1.03;  // for "auto"
        uint64_t seed = 0;
        double top_p = 0.2;
        uint64_t min_rank = 64, max_rank = 1024;
        uint64_t max_elements = uint64_t{1} << 28;
        std::string where, judge_where;
    } rounding;
    struct Run {
        unsigned threads = 0;  // 0: all processors
        uint64_t memory = 0;   // 0: a small default
        std::string device = "auto";
        bool verify = false;
    } run;
    struct Report {
        std::filesystem::path json;   // empty: none
        std::filesystem::path trace;  // a folder; empty: none
        bool json_from_file = false, trace_from_file = false;
        std::string json_where, trace_where;
    } report;

    std::string where;                  // the file, for messages
    std::vector<std::string> warnings;  // what is allowed and yet probably not meant
};

// `--set` and `-i`/`-o` on the command line: dotted key and value, applied over the file in order. The value
// is TOML or, if it is none or the key wants text, text without quotes. Relative paths are taken from the
// working directory.
struct Override {
    std::string key, value;
    std::string where = {};  // for messages: "-i"; "--set KEY" if empty
    bool verbatim = false;   // the value is text, whatever it looks like
};

// Reads and checks a pipeline. Exit::usage for every mistake, with file:line:column and a suggestion.
// Relative paths are taken from the pipeline's folder; those of reports, if the command line moves the
// output, from the output's folder. Keys that this version knows but cannot honour yet are errors that say
// so.
Pipeline read_pipeline(const std::filesystem::path&, const std::vector<Override>& = {});
Pipeline parse_pipeline(const std::string& toml, const std::string& name, const std::filesystem::path& folder,
                        const std::vector<Override>& = {});

// The pipeline as TOML that parses back to the same: format and its options, and what differs from the
// defaults; the same text for the same pipeline. Without paths it is a recipe: only what decides about the
// bytes of the output, so nothing of [run] and [report] either.
// TOML has no place for some pipelines that no text can have made: for each format id, a rule and the
// fallback must have every option that [quantize] has for that id, and embeddings exactly those; options of
// one optimizer must be the same everywhere. std::logic_error otherwise.
struct PrintSettings {
    bool paths = true;
};
std::string print_pipeline(const Pipeline&, const PrintSettings& = {});

// The whole schema, for docs and for `halftone help pipeline`: one row a key.
struct SchemaKey {
    std::string section, key, type, fallback, help, example;
    bool available = true;  // in this version
};
const std::vector<SchemaKey>& pipeline_schema();

}  // namespace halftone
