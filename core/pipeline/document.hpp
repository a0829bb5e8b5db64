#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

// Where something was written: in a file at a line and column, or on the command line.
struct Place {
    std::shared_ptr<const std::string> source;  // "p.toml", "--set run.threads"
    uint32_t line = 0, column = 0;              // from 1; 0 if there are none

    std::string text() const;  // "p.toml:12:3"
};

struct Entry;

// A TOML value, apart from the library that read it.
struct Node {
    enum class Kind { boolean, integer, real, text, list, table, date };

    Kind kind = Kind::table;
    bool from_command_line = false;
    bool boolean = false;
    int64_t integer = 0;
    double real = 0;
    std::string text;
    std::vector<Node> items;     // of a list
    std::vector<Entry> entries;  // of a table, in the order of the file
    Place place;

    const Entry* find(std::string_view key) const;
    Entry* find(std::string_view key);
};

struct Entry {
    std::string key;
    Place place;  // of the key
    Node value;
};

// Exit::usage where the text is no TOML, is not UTF-8 or is nested absurdly deep.
Node parse_document(const std::string& toml, const std::string& name);

// A single TOML value, such as `true` or `["a", "b"]`; nothing if the text is none.
std::optional<Node> parse_value(const std::string& toml, const Place&);

// As TOML: 8 and, for a real number, 8.0.
std::string toml_number(double, bool integer);

// For messages: `the text "row"`, `the integer 5`, `a list`.
std::string described(const Node&);

}  // namespace halftone
