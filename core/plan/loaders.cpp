#include "core/plan/loaders.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/document.hpp"
#include "core/plan/data_file.hpp"
#include "plugins/layouts.hpp"

namespace halftone {
namespace {

using data_file::plain;
using data_file::refuse;
using data_file::Table;
using data_file::text_of;

void read_loader(const Entry& entry, Loader& loader) {
    const Table table(entry.value, fmt::format("[loader.{}]", entry.key),
                      {"name", "layouts", "single_files", "experts", "dtypes", "marker_keys", "state_keys",
                       "embeddings", "metadata", "unknown_label", "legacy_marker", "legacy_label", "remark"});
    static const std::vector<std::string> layouts(layout_names.begin(), layout_names.end());
    loader.id = entry.key;
    if (loader.name.empty()) loader.name = entry.key;
    table.read("name", loader.name);
    table.read("layouts", loader.layouts, layouts);
    if (const auto given = table.flag("single_files")) loader.single_files = *given;
    if (const auto given = table.flag("experts")) loader.experts = *given;
    table.read_dtypes("dtypes", loader.dtypes);
    table.read("marker_keys", loader.marker_keys);
    table.read("state_keys", loader.state_keys);
    table.read("embeddings", loader.embeddings);
    table.read("unknown_label", loader.unknown_label);
    table.read("legacy_marker", loader.legacy_marker);
    table.read("legacy_label", loader.legacy_label);
    table.read("remark", loader.remark);
    if (const Node* metadata = table.table("metadata")) {
        loader.metadata.clear();
        for (const Entry& one : metadata->entries)
            loader.metadata[one.key] = text_of(one.value, table.what("metadata." + one.key));
    }
    if (loader.layouts.empty()) refuse(entry.place, fmt::format("[loader.{}] reads no layout", entry.key));
}

MarkerKey read_key(const Node& node) {
    const Table table(node, "each of [[label]] keys", {"key", "option", "default", "only"});
    MarkerKey result;
    result.key = text_of(table.required("key"), table.what("key"));
    table.read("option", result.option);
    if (const Node* value = table.given("default")) result.fallback = plain(*value, table.what("default"));
    if (const Node* values = table.list("only"))
        for (const Node& value : values->items)
            result.only.push_back(plain(value, table.what("only")));
    return result;
}

LabelRule read_rule(const Node& node) {
    const Table table(
        node, "[[label]]",
        {"loader", "label", "options", "takes", "since", "activations", "hardware", "remark", "keys"});
    LabelRule rule;
    rule.loader = text_of(table.required("loader"), table.what("loader"));
    rule.label = text_of(table.required("label"), table.what("label"));
    if (const Node* options = table.given("options")) {
        const auto conditions = read_label_conditions(text_of(*options, table.what("options")));
        if (!conditions)
            refuse(options->place, fmt::format("'{}' is not written as 'name=value other=value'",
                                               text::printable(options->text, 60)));
        rule.options = *conditions;
    }
    rule.takes = table.flag("takes");
    table.read("since", rule.since);
    if (rule.since && !rule.since->empty() && !is_since(*rule.since))
        refuse(table.given("since")->place,
               fmt::format("'{}' is neither a month nor a version", text::printable(*rule.since, 60)),
               "for example: \"2025-12\" or \"0.31.0\"");
    table.read("activations", rule.activations);
    table.read("hardware", rule.hardware);
    table.read("remark", rule.remark);
    for (const std::string_view key : {"label", "activations", "hardware", "remark"})
        if (const Node* text = table.given(key); text && !is_one_line(text->text))
            refuse(text->place, table.what(key) + " has more than one line");
    if (const Node* keys = table.list("keys"))
        for (const Node& key : keys->items)
            rule.keys.push_back(read_key(key));
    return rule;
}

}  // namespace

bool Loader::reads_layout(std::string_view layout) const {
    return std::ranges::find(layouts, layout) != layouts.end();
}

bool Loader::knows_dtype(std::string_view dtype) const {
    return dtypes.empty() || std::ranges::find(dtypes, dtype) != dtypes.end();
}

std::filesystem::path Loaders::installed_file() {
    return os::executable().parent_path().parent_path() / "share" / "halftone" / "loaders.toml";
}

Loaders Loaders::standard(const std::filesystem::path& own) {
    Loaders result;
    for (const std::filesystem::path& path : data_file::installed_and_own(installed_file(), own))
        result.add(data_file::text_of_file(path), os::utf8(path));
    return result;
}

void Loaders::add(const std::string& toml, const std::string& name) {
    const Node document = parse_document(toml, name);
    const Table top(document, "the file", {"loader", "label", "layer"});
    if (const Node* loaders = top.given("loader")) {
        if (loaders->kind != Node::Kind::table)
            refuse(loaders->place,
                   fmt::format("expected tables [loader.ID], but found {}", described(*loaders)));
        for (const Entry& entry : loaders->entries) {
            if (!is_loader_name(entry.key))
                refuse(entry.place,
                       fmt::format("'{}' is no loader's id: ids are made of a-z, 0-9, '.' and '-'",
                                   text::printable(entry.key, 60)));
            read_loader(entry, loaders_[entry.key]);
        }
    }
    if (const Node* labels = top.list("label"))
        for (const Node& label : labels->items) {
            LabelRule rule = read_rule(label);
            check_loader(rule.loader, label);
            rules_.push_back(std::move(rule));
        }
    if (const Node* layers = top.list("layer"))
        for (const Node& layer : layers->items) {
            LayerRule rule = read_layer_rule(layer);
            check_loader(rule.loader, layer);
            layer_rules_.push_back(std::move(rule));
        }
}

void Loaders::check_loader(const std::string& id, const Node& where) const {
    if (!known(id))
        refuse(
            where.find("loader")->value.place,
            fmt::format("no [loader.{}] is known{}", text::printable(id, 60), text::did_you_mean(id, ids())));
}

const LayerRule* Loaders::layer_rule(const std::string& loader, const std::string& label,
                                     LayerKind kind) const {
    const auto is_it = [&](const LayerRule& rule) { return rule.is_for(loader, label, kind); };
    const auto found = std::find_if(layer_rules_.rbegin(), layer_rules_.rend(), is_it);
    return found == layer_rules_.rend() ? nullptr : &*found;
}

bool Loaders::describes_layers(const std::string& loader) const {
    return std::ranges::find(layer_rules_, loader, &LayerRule::loader) != layer_rules_.end();
}

std::vector<std::string> Loaders::ids() const {
    std::vector<std::string> ids;
    for (const auto& [id, loader] : loaders_)
        ids.push_back(id);
    return ids;
}

const Loader* Loaders::known(std::string_view id) const {
    const auto found = loaders_.find(id);
    return found == loaders_.end() ? nullptr : &found->second;
}

const Loader& Loaders::find(std::string_view id, const std::string& where) const {
    if (loaders_.empty())
        throw Error(Exit::failed, os::utf8(installed_file()), "no such file, and so no loader is known",
                    "it belongs to the program's installation; --loaders FILE names another");
    if (const Loader* loader = known(id)) return *loader;
    throw Error(Exit::usage, where,
                fmt::format("no loader '{}' is known{}", text::printable(id), text::did_you_mean(id, ids())),
                "known are " + text::join(ids(), ", "));
}

}  // namespace halftone
