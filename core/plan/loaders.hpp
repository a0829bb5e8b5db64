#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/plan/layer_rules.hpp"
#include "plugins/labels.hpp"

namespace halftone {

// A program that reads checkpoints, as far as loaders.toml describes it.
struct Loader {
    std::string id, name;
    std::vector<std::string> layouts;             // as [output] layout has them
    bool single_files = false;                    // reads no shards
    bool experts = false;                         // takes stacks of experts, quantized
    std::vector<std::string> dtypes;              // that its reader knows; empty: all
    std::vector<std::string> marker_keys;         // what it reads of a marker
    std::vector<std::string> state_keys;          // that it knows of a quant_state's JSON; empty: any
    std::vector<std::string> embeddings;          // labels that it takes for embedding tables; empty: all
    std::map<std::string, std::string> metadata;  // that it wants in the header
    std::string unknown_label;                    // what it says; {} is the label
    std::string legacy_marker, legacy_label;  // of older files: what marks them, and what it takes layers for
    std::string remark;

    bool reads_layout(std::string_view) const;
    bool knows_dtype(std::string_view) const;
};

// A key of a layer's marker that tells a loader how the weight is stored.
struct MarkerKey {
    std::string key;                // "params.group_size"
    std::string option;             // of the format, with the same value; "": none
    std::string fallback;           // what the loader takes where the marker lacks the key; "": nothing
    std::vector<std::string> only;  // the values that it can work with; empty: all
};

// What loaders.toml says about a label. What it does not say stays as the format has it.
struct LabelRule {
    std::string loader, label;
    std::vector<LabelCondition> options;
    std::optional<bool> takes;
    std::optional<std::string> since, activations, hardware, remark;
    std::vector<MarkerKey> keys;
};

// All that is known about loaders beside the labels of formats.
class Loaders {
  public:
    // The file installed with the program, and over it the user's, or `own` in its place. Exit::usage with
    // file:line:column for every mistake in one. Knows no loaders if the installed file is missing.
    static Loaders standard(const std::filesystem::path& own = {});
    static std::filesystem::path installed_file();

    // Puts the text of one file over what is known.
    void add(const std::string& toml, const std::string& name);

    const Loader* known(std::string_view id) const;
    // Exit::usage with what was probably meant; `where` the id was given.
    const Loader& find(std::string_view id, const std::string& where = {}) const;
    const std::vector<LabelRule>& rules() const { return rules_; }  // later ones count more
    // What the loader does with the tensors of such a layer; null: nothing says.
    const LayerRule* layer_rule(const std::string& loader, const std::string& label, LayerKind) const;
    bool describes_layers(const std::string& loader) const;  // of any label

  private:
    std::vector<std::string> ids() const;
    void check_loader(const std::string& id, const Node& where) const;

    std::map<std::string, Loader, std::less<>> loaders_;
    std::vector<LabelRule> rules_;
    std::vector<LayerRule> layer_rules_;
};

}  // namespace halftone
