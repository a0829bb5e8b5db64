#include "core/pipeline/schema.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/text.hpp"
#include "core/pipeline/pipeline.hpp"

namespace halftone::schema {
namespace {

std::string range_text(const Key& key) {
    if (key.least == 0 && key.most == 0) return {};
    if (key.type == Type::size)
        return fmt::format(", {} or more", text::bytes(static_cast<uint64_t>(key.least)));
    if (key.most > 9e15) return fmt::format(", {} or more", key.least);
    return fmt::format(", {} to {}", key.least, key.most);
}

}  // namespace

std::string Section::title() const {
    switch (shape) {
        case Shape::by_id:
            return fmt::format("[{}.ID]", name);
        case Shape::many:
            return fmt::format("[[{}]]", name);
        case Shape::once:
            break;
    }
    return fmt::format("[{}]", name);
}

std::string Key::title() const {
    return fmt::format("{} {}", find_section(section)->title(), name);
}

const Section* find_section(std::string_view name) {
    const auto found = std::ranges::find(sections(), name, &Section::name);
    return found == sections().end() ? nullptr : &*found;
}

const Key* find_key(std::string_view section, std::string_view name) {
    const auto found = std::ranges::find_if(
        keys(), [&](const Key& key) { return key.section == section && key.name == name; });
    return found == keys().end() ? nullptr : &*found;
}

std::vector<std::string> section_names() {
    std::vector<std::string> names;
    for (const Section& section : sections())
        names.emplace_back(section.name);
    return names;
}

std::vector<std::string> key_names(std::string_view section) {
    std::vector<std::string> names;
    for (const Key& key : keys())
        if (key.section == section) names.emplace_back(key.name);
    return names;
}

bool is_word_for(std::string_view plugin_kind, std::string_view id) {
    return std::ranges::any_of(keys(), [&](const Key& key) {
        return key.plugin_kind == plugin_kind && std::ranges::find(key.choices, id) != key.choices.end();
    });
}

bool is_word(std::string_view id) {
    return std::ranges::any_of(
        keys(), [&](const Key& key) { return !key.plugin_kind.empty() && is_word_for(key.plugin_kind, id); });
}

std::string sections_with(std::string_view name) {
    std::vector<std::string> found;
    for (const Key& key : keys())
        if (key.name == name) found.push_back(find_section(key.section)->title());
    return alternatives(found);
}

std::string type_text(const Key& key) {
    std::vector<std::string> words;
    for (std::string_view word : key.choices)
        words.push_back(fmt::format("`\"{}\"`", word));
    switch (key.type) {
        case Type::boolean:
            return "true or false";
        case Type::integer:
            return "integer" + range_text(key);
        case Type::real:
            return "number" + range_text(key);
        case Type::size:
            return "size" + range_text(key);
        case Type::text:
            return "text";
        case Type::path:
            return "path";
        case Type::texts:
            return "text or list of texts";
        case Type::choice:
            return alternatives(words);
        case Type::plugin:
            words.push_back(fmt::format("{} id", key.plugin_kind));
            return alternatives(words);
        case Type::plugins:
            words.push_back(fmt::format("{} id", key.plugin_kind));
            words.emplace_back("list of ids");
            return alternatives(words);
    }
    return {};
}

std::string alternatives(const std::vector<std::string>& words) {
    std::string result;
    for (size_t i = 0; i < words.size(); ++i)
        result += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
    return result;
}

}  // namespace halftone::schema

namespace halftone {

const std::vector<SchemaKey>& pipeline_schema() {
    static const std::vector<SchemaKey> rows = [] {
        std::vector<SchemaKey> result;
        for (const schema::Key& key : schema::keys()) {
            const std::string value = key.fallback.empty() ? "" : fmt::format("`{}`", key.fallback);
            result.push_back({std::string(key.section), std::string(key.name), schema::type_text(key),
                              key.fallback_note.empty() ? value : std::string(key.fallback_note),
                              std::string(key.help), std::string(key.example), key.available});
        }
        return result;
    }();
    return rows;
}

}  // namespace halftone
