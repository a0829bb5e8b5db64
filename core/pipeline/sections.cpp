#include "core/pipeline/sections.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace halftone {
namespace {

using schema::Section;
using schema::Shape;

[[noreturn]] void refuse_unknown_section(const Entry& entry) {
    const std::string name = text::printable(entry.key, 60), where = entry.place.text();
    const std::vector<std::string> known = schema::section_names();
    const bool table = entry.value.kind == Node::Kind::table || entry.value.kind == Node::Kind::list;
    const std::string homes = schema::sections_with(entry.key);
    if (!table && !homes.empty())
        fail(Exit::usage, where, "'{}' stands in front of all sections; it belongs in {}", name, homes);
    throw Error(Exit::usage, where,
                table ? fmt::format("unknown section [{}]{}", name, text::did_you_mean(entry.key, known))
                      : fmt::format("unknown key '{}' in front of all sections{}", name,
                                    text::did_you_mean(entry.key, known)),
                fmt::format("the sections are {}", text::join(known, ", ")));
}

}  // namespace

IdTables::IdTables(const Section& section, const Entry& entry) : section_(section.name) {
    const Node& tables = entry.value;
    if (tables.kind != Node::Kind::table)
        throw Error(Exit::usage, entry.place.text(),
                    fmt::format("expected a section {}, but found {}", section.title(), described(tables)),
                    fmt::format("'{}' is chosen in [quantize]", entry.key));
    for (const Entry& table : tables.entries) {
        const std::string id = text::printable(table.key, 60);
        if (schema::is_word(table.key))
            fail(Exit::usage, table.place.text(), "'{}' is no {} and has no options", id, section.name);
        check_plugin_id(table.key, section.name, table.place);
        if (table.value.kind != Node::Kind::table)
            throw Error(Exit::usage, table.place.text(),
                        fmt::format("expected a section [{}.{}], but found {}", section.name, id,
                                    described(table.value)),
                        fmt::format("options stand in a section of their plugin: {}", section.title()));
        GivenOptions options;
        for (const Entry& option : table.value.entries) {
            if (option.value.kind == Node::Kind::table)
                throw Error(
                    Exit::usage, option.place.text(),
                    fmt::format("option '{}' of '{}' is a table", text::printable(option.key, 60), id),
                    fmt::format("an id with a dot is written in quotes: [{}.\"{}.{}\"]", section.name, id,
                                text::printable(option.key, 60)));
            if (is_reserved(option.key)) refuse_unknown_key(option, section);
            options.emplace(option.key, option_from(option, section));
        }
        options_.emplace(table.key, std::move(options));
        places_.emplace(table.key, table.place);
    }
}

GivenOptions IdTables::take(const std::string& id) {
    taken_.push_back(id);
    const auto found = options_.find(id);
    return found == options_.end() ? GivenOptions{} : found->second;
}

std::vector<std::string> IdTables::unused() const {
    std::vector<std::string> lines;
    for (const auto& [id, place] : places_)
        if (std::ranges::find(taken_, id) == taken_.end())
            lines.push_back(fmt::format("{}: [{}.{}] has no effect: nothing uses '{}'{}", place.text(),
                                        section_, id, id, text::did_you_mean(id, taken_)));
    return lines;
}

Sections::Sections(const Node& document, const std::string& name) : document_(document) {
    for (const Entry& entry : document.entries)
        check_section(entry);
    const Place nowhere{std::make_shared<const std::string>(name), 1, 1};
    for (const Section& section : schema::sections())
        if (section.shape == Shape::once) once_.try_emplace(section.name, section, nullptr, nowhere);
}

void Sections::check_section(const Entry& entry) {
    const Section* section = schema::find_section(entry.key);
    if (!section) refuse_unknown_section(entry);
    if (section->shape == Shape::many) return check_rules(*section, entry);
    if (section->shape == Shape::by_id) {
        IdTables& tables = section->name == "format"      ? formats
                           : section->name == "optimizer" ? optimizers
                                                          : profiles;
        tables = IdTables(*section, entry);
        return;
    }
    if (entry.value.kind == Node::Kind::list && !entry.value.items.empty() &&
        entry.value.items[0].kind == Node::Kind::table)
        throw Error(Exit::usage, entry.value.items[0].place.text(),
                    fmt::format("{} can be given once only", section->title()),
                    fmt::format("write {}, not [[{}]]", section->title(), entry.key));
    if (entry.value.kind != Node::Kind::table)
        fail(Exit::usage, entry.value.place.text(), "expected a section {}, but found {}", section->title(),
             described(entry.value));
    once_.try_emplace(section->name, *section, &entry.value, entry.value.place);
}

void Sections::check_rules(const Section& section, const Entry& entry) {
    const Node& rules = entry.value;
    if (rules.kind == Node::Kind::table)
        throw Error(Exit::usage, rules.place.text(), "rules are a list", "write [[rule]], not [rule]");
    if (rules.kind != Node::Kind::list)
        fail(Exit::usage, rules.place.text(), "expected sections [[rule]], but found {}", described(rules));
    for (const Node& rule : rules.items) {
        if (rule.kind != Node::Kind::table)
            fail(Exit::usage, rule.place.text(), "expected a section [[rule]], but found {}",
                 described(rule));
        rules_.emplace_back(section, &rule, rule.place);
    }
}

}  // namespace halftone
