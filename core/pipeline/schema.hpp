#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

// The one table of what a pipeline may say. Checking, suggestions, defaults, printing and documentation all
// read it.
namespace halftone::schema {

enum class Shape {
    once,   // [run]
    by_id,  // [format.ID]: a table of a plugin's options
    many,   // [[rule]]
};

struct Section {
    std::string_view name;
    Shape shape = Shape::once;
    bool takes_options = false;  // any other key is an option of the format named there
    std::string_view help;

    std::string title() const;  // "[run]", "[format.ID]", "[[rule]]"
};

enum class Type { boolean, integer, real, size, text, path, choice, plugin, texts, plugins };

struct Key {
    std::string_view section, name;
    Type type = Type::text;
    std::string_view fallback = {};       // the default as TOML; "" if it has none
    std::string_view fallback_note = {};  // what happens without the key, where that is no value
    // Of a choice all it may be; of a plugin the words that mean something else than an id.
    std::vector<std::string_view> choices = {};
    std::string_view plugin_kind = {};  // "format", for Type::plugin
    double least = 0, most = 0;         // both 0: no range
    std::string_view help, example;
    bool available = true;
    bool in_recipe = true;  // false: does not change what is written

    std::string title() const;  // "[run] threads", "[[rule]] match"
};

std::span<const Section> sections();
std::span<const Key> keys();

const Section* find_section(std::string_view name);
const Key* find_key(std::string_view section, std::string_view name);
std::vector<std::string> section_names();
std::vector<std::string> key_names(std::string_view section);

// Is it a word that some key takes in place of an id of this kind: "keep" for a format?
bool is_word_for(std::string_view plugin_kind, std::string_view id);
// Of any kind?
bool is_word(std::string_view id);

// The sections that have such a key: "[run]", "[quantize], [[rule]] or [fallback]"; "" if none has.
std::string sections_with(std::string_view key);

// For a person: "true or false", "size", "`\"keep\"` or a format", with the range.
std::string type_text(const Key&);

// "a, b or c".
std::string alternatives(const std::vector<std::string>&);

}  // namespace halftone::schema
