#include "core/plan/loaders.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <span>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/document.hpp"
#include "core/tensor/dtype.hpp"
#include "plugins/layouts.hpp"

namespace halftone {
namespace {

constexpr uint64_t largest_file = 1 << 20;

[[noreturn]] void refuse(const Place& place, const std::string& what, const std::string& advice = "") {
    throw Error(Exit::usage, place.text(), what, advice);
}

const std::string& text_of(const Node& node, const std::string& what) {
    if (node.kind != Node::Kind::text)
        refuse(node.place, fmt::format("{} must be a text, not {}", what, described(node)));
    return node.text;
}

// A number, a truth value or a text, as a marker's JSON would show it.
std::string plain(const Node& node, const std::string& what) {
    switch (node.kind) {
        case Node::Kind::text:
            return node.text;
        case Node::Kind::integer:
            return std::to_string(node.integer);
        case Node::Kind::boolean:
            return node.boolean ? "true" : "false";
        default:
            refuse(node.place,
                   fmt::format("{} must be a number, a text, true or false, not {}", what, described(node)));
    }
}

// One table of the file. Every key must be among those that were asked for.
class Table {
  public:
    Table(const Node& node, std::string title, std::vector<std::string> keys)
        : node_(node), title_(std::move(title)) {
        if (node.kind != Node::Kind::table)
            refuse(node.place, fmt::format("expected a table {}, but found {}", title_, described(node)));
        for (const Entry& entry : node.entries)
            if (std::ranges::find(keys, entry.key) == keys.end())
                refuse(entry.place,
                       fmt::format("{} has no key '{}'{}", title_, text::printable(entry.key, 60),
                                   text::did_you_mean(entry.key, keys)),
                       "it has " + text::join(keys, ", "));
    }

    const Node* given(std::string_view key) const {
        const Entry* entry = node_.find(key);
        return entry ? &entry->value : nullptr;
    }
    const Node& required(std::string_view key) const {
        const Node* value = given(key);
        if (!value) refuse(node_.place, fmt::format("{} needs '{}'", title_, key));
        return *value;
    }
    std::string what(std::string_view key) const { return fmt::format("{} {}", title_, key); }

    void read(std::string_view key, std::string& to) const {
        if (const Node* value = given(key)) to = text_of(*value, what(key));
    }
    void read(std::string_view key, std::optional<std::string>& to) const {
        if (const Node* value = given(key)) to = text_of(*value, what(key));
    }
    std::optional<bool> flag(std::string_view key) const {
        const Node* value = given(key);
        if (!value) return std::nullopt;
        if (value->kind != Node::Kind::boolean)
            refuse(value->place,
                   fmt::format("{} must be true or false, not {}", what(key), described(*value)));
        return value->boolean;
    }
    const Node* list(std::string_view key) const {
        const Node* value = given(key);
        if (value && value->kind != Node::Kind::list)
            refuse(value->place, fmt::format("{} must be a list, not {}", what(key), described(*value)));
        return value;
    }
    // `known`: all that may stand there; empty: anything.
    void read(std::string_view key, std::vector<std::string>& to,
              std::span<const std::string> known = {}) const {
        const Node* value = list(key);
        if (!value) return;
        to.clear();
        for (const Node& item : value->items) {
            const std::string& one = text_of(item, "each of " + what(key));
            if (!known.empty() && std::ranges::find(known, one) == known.end())
                refuse(item.place, fmt::format("{}: there is no '{}'{}", what(key), text::printable(one, 60),
                                               text::did_you_mean(one, known)));
            to.push_back(one);
        }
    }

  private:
    const Node& node_;
    std::string title_;
};

void read_loader(const Entry& entry, Loader& loader) {
    const Table table(entry.value, fmt::format("[loader.{}]", entry.key),
                      {"name", "layouts", "single_files", "experts", "dtypes", "marker_keys", "state_keys",
                       "embeddings", "metadata", "unknown_label", "remark"});
    static const std::vector<std::string> layouts(layout_names.begin(), layout_names.end());
    loader.id = entry.key;
    if (loader.name.empty()) loader.name = entry.key;
    table.read("name", loader.name);
    table.read("layouts", loader.layouts, layouts);
    if (const auto given = table.flag("single_files")) loader.single_files = *given;
    if (const auto given = table.flag("experts")) loader.experts = *given;
    table.read("dtypes", loader.dtypes);
    if (const Node* dtypes = table.list("dtypes"))
        for (const Node& dtype : dtypes->items)
            if (!dtype::from_name(dtype.text))
                refuse(dtype.place,
                       fmt::format("{}: there is no type '{}'", table.what("dtypes"),
                                   text::printable(dtype.text, 60)),
                       "types are named as in safetensors: F32, F8_E4M3, U8");
    table.read("marker_keys", loader.marker_keys);
    table.read("state_keys", loader.state_keys);
    table.read("embeddings", loader.embeddings);
    table.read("unknown_label", loader.unknown_label);
    table.read("remark", loader.remark);
    if (const Node* metadata = table.given("metadata")) {
        if (metadata->kind != Node::Kind::table)
            refuse(metadata->place, fmt::format("{} must be a table of texts, not {}", table.what("metadata"),
                                                described(*metadata)));
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

std::string text_of_file(const std::filesystem::path& path) {
    const os::File file = os::File::open_to_read(path);
    if (file.size() > largest_file)
        fail(Exit::usage, os::utf8(path), "has {} bytes; no description of loaders is that long",
             file.size());
    std::string text(file.size(), '\0');
    file.read(0, std::as_writable_bytes(std::span(text)));
    return text;
}

bool is_there(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
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
    std::filesystem::path over = own;
    if (over.empty())
        if (const std::filesystem::path folder = os::user_config_folder(); !folder.empty())
            if (is_there(folder / "halftone" / "loaders.toml")) over = folder / "halftone" / "loaders.toml";
    for (const std::filesystem::path& path : {installed_file(), over})
        if (!path.empty() && (path == over || is_there(path))) result.add(text_of_file(path), os::utf8(path));
    return result;
}

void Loaders::add(const std::string& toml, const std::string& name) {
    const Node document = parse_document(toml, name);
    const Table top(document, "the file", {"loader", "label"});
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
            if (!known(rule.loader)) {
                refuse(label.find("loader")->value.place,
                       fmt::format("no [loader.{}] is known{}", text::printable(rule.loader, 60),
                                   text::did_you_mean(rule.loader, ids())));
            }
            rules_.push_back(std::move(rule));
        }
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
