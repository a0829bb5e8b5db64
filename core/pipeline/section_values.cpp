#include "core/pipeline/section_values.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "plugins/search.hpp"

namespace halftone {
namespace {

using schema::Key;

// A default of the schema; its table is tested to hold nothing else than values.
Node default_of(const Key& key) {
    return parse_value(std::string(key.fallback), {}).value_or(Node{});
}

uint64_t whole_of(const Node& node) {
    if (node.kind == Node::Kind::text) return text::parse_bytes(node.text).value_or(0);
    return static_cast<uint64_t>(node.integer);
}

std::filesystem::path path_from_utf8(const std::string& text) {
    return std::filesystem::path(std::u8string(text.begin(), text.end()));
}

}  // namespace

SectionValues::SectionValues(const schema::Section& section, const Node* table, Place place)
    : section_(section), table_(table), place_(std::move(place)) {
    if (!table) return;
    for (const Entry& entry : table->entries)
        check_entry(entry);
}

void SectionValues::check_entry(const Entry& entry) {
    if (const Key* known = schema::find_key(section_.name, entry.key))
        check_value(*known, entry);
    else if (section_.takes_options && !is_reserved(entry.key))
        options_.emplace(entry.key, option_from(entry, section_));
    else
        refuse_unknown_key(entry, section_);
}

const Key& SectionValues::key(std::string_view name) const {
    return *schema::find_key(section_.name, name);
}

const Entry* SectionValues::given(std::string_view key) const {
    return table_ ? table_->find(key) : nullptr;
}

std::string SectionValues::where(std::string_view key) const {
    const Entry* entry = given(key);
    return entry ? entry->value.place.text() : where();
}

bool SectionValues::flag(std::string_view name) const {
    const Entry* entry = given(name);
    return entry ? entry->value.boolean : default_of(key(name)).boolean;
}

uint64_t SectionValues::whole(std::string_view name) const {
    const Entry* entry = given(name);
    return whole_of(entry ? entry->value : default_of(key(name)));
}

double SectionValues::real(std::string_view name) const {
    const Entry* entry = given(name);
    const Node node = entry ? entry->value : default_of(key(name));
    return node.kind == Node::Kind::integer ? static_cast<double>(node.integer) : node.real;
}

std::string SectionValues::text(std::string_view name) const {
    const Entry* entry = given(name);
    return entry ? entry->value.text : default_of(key(name)).text;
}

std::vector<std::string> SectionValues::texts(std::string_view name) const {
    const Entry* entry = given(name);
    const Node& node = entry ? entry->value : default_of(key(name));
    if (node.kind == Node::Kind::text) return {node.text};
    std::vector<std::string> result;
    for (const Node& item : node.items)
        result.push_back(item.text);
    return result;
}

std::filesystem::path SectionValues::path(std::string_view name, const std::filesystem::path& folder) const {
    const Entry* entry = given(name);
    if (!entry || entry->value.text.empty()) return {};
    std::filesystem::path path = path_from_utf8(entry->value.text);
    const bool as_it_is = entry->value.from_command_line || folder.empty() || path.is_absolute();
    return as_it_is ? path : folder / path;
}

GivenValue option_from(const Entry& entry, const schema::Section& section) {
    const Node& node = entry.value;
    const std::string where = node.place.text(), name = text::printable(entry.key, 60);
    switch (node.kind) {
        case Node::Kind::boolean:
            return {node.boolean, where};
        case Node::Kind::integer:
            return {node.integer, where};
        case Node::Kind::real:
            return {node.real, where};
        case Node::Kind::text:
            return {node.text, where};
        case Node::Kind::list: {
            std::vector<std::string> items;
            for (const Node& item : node.items) {
                if (item.kind != Node::Kind::text)
                    fail(Exit::usage, item.place.text(), "option '{}': a list holds texts in quotes, not {}",
                         name, described(item));
                items.push_back(item.text);
            }
            return {std::move(items), where};
        }
        case Node::Kind::table:
            throw Error(Exit::usage, entry.place.text(),
                        fmt::format("{} has no table '{}'", section.title(), name),
                        "options of a format stand beside its name, or in a section [format.ID]");
        case Node::Kind::date:
            break;
    }
    fail(Exit::usage, where, "option '{}': dates and times have no use in a pipeline", name);
}

bool is_reserved(std::string_view option) {
    const auto reserved = reserved_option_names();
    return std::ranges::find(reserved, option) != reserved.end();
}

void refuse_unknown_key(const Entry& entry, const schema::Section& section) {
    const std::string name = text::printable(entry.key, 60), where = entry.place.text();
    const std::string elsewhere = schema::sections_with(entry.key);
    if (section.shape == schema::Shape::by_id)
        throw Error(Exit::usage, where,
                    fmt::format("'{}' is no option of a plugin: the name is the pipeline's own", name),
                    elsewhere.empty() ? "" : fmt::format("it belongs in {}", elsewhere));
    if (!elsewhere.empty())
        fail(Exit::usage, where, "unknown key '{}' in {}; it belongs in {}", name, section.title(),
             elsewhere);
    const std::vector<std::string> known = schema::key_names(section.name);
    throw Error(
        Exit::usage, where,
        fmt::format("unknown key '{}' in {}{}", name, section.title(), text::did_you_mean(entry.key, known)),
        fmt::format("{} knows {}", section.title(), text::join(known, ", ")));
}

void check_plugin_id(const std::string& id, std::string_view kind, const Place& place) {
    if (is_plugin_id(id)) return;
    std::string lower = id;
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    throw Error(Exit::usage, place.text(),
                fmt::format("'{}' is no {} id: ids are made of a-z, 0-9, '_', '.' and '-'",
                            text::printable(id, 60), kind),
                lower != id && is_plugin_id(lower)
                    ? fmt::format("did you mean '{}'?", lower)
                    : fmt::format("`halftone plugins list` shows what there is"));
}

}  // namespace halftone
