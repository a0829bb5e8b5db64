#include "core/pipeline/overrides.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/schema.hpp"

namespace halftone {
namespace {

using schema::Key;
using schema::Section;
using schema::Shape;
using schema::Type;

// Where an override goes: run . threads, format . acme.int4 . block_size, rule . 2 . action
struct Target {
    const Section* section = nullptr;
    std::string item;  // an id, or the number or name of a rule
    std::string key;
};

// `rule."attention layers".format` has three parts. Nothing if a quote is not closed.
std::optional<std::vector<std::string>> parts_of(std::string_view key) {
    std::vector<std::string> parts(1);
    char quote = 0;
    for (const char c : key) {
        if (quote) {
            if (c == quote)
                quote = 0;
            else
                parts.back() += c;
        } else if (c == '.') {
            parts.emplace_back();
        } else if ((c == '"' || c == '\'') && parts.back().empty()) {
            quote = c;
        } else {
            parts.back() += c;
        }
    }
    if (quote) return std::nullopt;
    return parts;
}

[[noreturn]] void refuse_section(const Place& place, const std::vector<std::string>& parts) {
    const std::string where = place.text(), name = text::printable(parts[0], 60);
    const std::string homes = schema::sections_with(parts[0]);
    if (parts.size() == 1 && !homes.empty())
        fail(Exit::usage, where, "'{}' needs its section in front: it belongs in {}", name, homes);
    fail(Exit::usage, where, "there is no section '{}'{}", name,
         text::did_you_mean(parts[0], schema::section_names()));
}

Target target_of(const std::string& written, const Place& place) {
    const std::optional<std::vector<std::string>> parts = parts_of(written);
    if (!parts)
        fail(Exit::usage, place.text(), "'{}' has a quote that is not closed", text::printable(written));
    Target target{schema::find_section(parts->front()), {}, parts->back()};
    if (!target.section) refuse_section(place, *parts);

    const std::string homes = schema::sections_with(written);
    const bool nested = target.section->shape != Shape::once;
    if (parts->size() < (nested ? 3 : 2) || (parts->size() > 2 && !nested))
        throw Error(
            Exit::usage, place.text(),
            fmt::format("'{}' is not of the form {}.{}KEY", text::printable(written), target.section->name,
                        target.section->shape == Shape::by_id  ? "ID."
                        : target.section->shape == Shape::many ? "NUMBER."
                                                               : ""),
            parts->size() == 1 && !homes.empty()
                ? fmt::format("as a key, '{}' belongs in {}", text::printable(written, 60), homes)
                : "values are given as SECTION.KEY=VALUE");
    // What an id may hold, a dot included, needs no quotes here.
    if (nested) target.item = text::join(std::span(*parts).subspan(1, parts->size() - 2), ".");
    return target;
}

// Directed by what the key wants, so that `--set input.path=2024` needs no quotes.
Node value_of(const Key* key, const Override& override_, const Place& place) {
    Node as_text;
    as_text.kind = Node::Kind::text;
    as_text.text = override_.value;
    as_text.place = place;
    if (override_.verbatim) return as_text;

    const std::optional<Node> parsed = parse_value(override_.value, place);
    if (!parsed || parsed->kind == Node::Kind::date) return as_text;
    const bool list = parsed->kind == Node::Kind::list;
    const Type type = key ? key->type : Type::boolean;
    const bool wants_list = type == Type::texts || type == Type::plugins;
    const bool wants_text = wants_list || type == Type::text || type == Type::path || type == Type::choice ||
                            type == Type::plugin;
    if (wants_text && parsed->kind != Node::Kind::text && !(wants_list && list)) return as_text;
    return *parsed;
}

Entry& entry_of(Node& table, const std::string& key, const Place& place) {
    if (Entry* existing = table.find(key)) return *existing;
    table.entries.push_back({key, place, {}});
    table.entries.back().value.place = place;
    return table.entries.back();
}

Node& table_of(Node& parent, const std::string& key, const Place& place) {
    Node& table = entry_of(parent, key, place).value;
    if (table.kind != Node::Kind::table)
        fail(Exit::usage, table.place.text(), "expected a section [{}], but found {}", key, described(table));
    return table;
}

Node& rule_of(Node& document, const std::string& item, const Place& place) {
    Entry* rules = document.find("rule");
    const size_t count = rules ? rules->value.items.size() : 0;
    for (size_t i = 0; i < count; ++i) {
        Node& rule = rules->value.items[i];
        const Entry* name = rule.find("name");
        if (rule.kind == Node::Kind::table && name && name->value.text == item) return rule;
    }
    size_t number = 0;
    const auto [end, problem] = std::from_chars(item.data(), item.data() + item.size(), number);
    const bool is_number = problem == std::errc() && end == item.data() + item.size();
    if (is_number && number >= 1 && number <= count &&
        rules->value.items[number - 1].kind == Node::Kind::table)
        return rules->value.items[number - 1];
    throw Error(Exit::usage, place.text(), fmt::format("there is no rule '{}'", text::printable(item, 60)),
                count == 0 ? "the pipeline has no rules"
                           : fmt::format("rules go by name, or by number from 1 to {}", count));
}

Node& table_for(Node& document, const Target& target, const Place& place) {
    if (target.section->shape == Shape::many) return rule_of(document, target.item, place);
    Node& section = table_of(document, std::string(target.section->name), place);
    return target.section->shape == Shape::by_id ? table_of(section, target.item, place) : section;
}

// The options beside a format are that format's.
void drop_options_of_file(Node& table, const Target& target, const std::string& format, const Place& place,
                          std::vector<std::string>& warnings) {
    const Entry* before = table.find("format");
    if (!before || before->value.text == format) return;
    std::vector<std::string> dropped;
    std::erase_if(table.entries, [&](const Entry& entry) {
        const bool option = !entry.value.from_command_line &&
                            !schema::find_key(target.section->name, entry.key) &&
                            entry.value.kind != Node::Kind::table;
        if (option) dropped.push_back(text::printable(entry.key, 60));
        return option;
    });
    if (!dropped.empty())
        warnings.push_back(fmt::format("{}: leaves out what the file gives for '{}': {}", place.text(),
                                       text::printable(table.find("format")->value.text, 60),
                                       text::join(dropped, ", ")));
}

}  // namespace

void apply_overrides(Node& document, const std::vector<Override>& overrides,
                     std::vector<std::string>& warnings) {
    for (const Override& override_ : overrides) {
        const std::string where = override_.where.empty() ? "--set " + override_.key : override_.where;
        const Place place{std::make_shared<const std::string>(text::printable(where))};
        if (!text::is_utf8(override_.key) || !text::is_utf8(override_.value))
            fail(Exit::usage, place.text(), "is not UTF-8 text");
        const Target target = target_of(override_.key, place);
        const Key* key = schema::find_key(target.section->name, target.key);

        Node& table = table_for(document, target, place);
        Node value = value_of(key, override_, place);
        value.from_command_line = true;
        if (key && target.section->takes_options && key->name == "format" && value.kind == Node::Kind::text)
            drop_options_of_file(table, target, value.text, place, warnings);
        Entry& entry = entry_of(table, target.key, place);
        entry.value = std::move(value);
        entry.place = place;
    }
}

}  // namespace halftone
