#include "core/pipeline/document.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <toml++/toml.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/syntax.hpp"

namespace halftone {
namespace {

using Source = std::shared_ptr<const std::string>;

Place place_of(const Source& source, const toml::source_region& region) {
    return {source, region.begin.line, region.begin.column};
}

Node converted(const toml::node& node, const Source& source);

std::vector<Entry> converted_entries(const toml::table& table, const Source& source) {
    std::vector<Entry> entries;
    for (const auto& [key, value] : table)
        entries.push_back({std::string(key.str()), place_of(source, key.source()), converted(value, source)});
    // The library sorts by key; people read from the top.
    std::ranges::stable_sort(entries, [](const Entry& a, const Entry& b) {
        return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
    });
    return entries;
}

Node converted(const toml::node& node, const Source& source) {
    Node result;
    result.place = place_of(source, node.source());
    switch (node.type()) {
        case toml::node_type::boolean:
            result.kind = Node::Kind::boolean;
            result.boolean = node.as_boolean()->get();
            break;
        case toml::node_type::integer:
            result.kind = Node::Kind::integer;
            result.integer = node.as_integer()->get();
            break;
        case toml::node_type::floating_point:
            result.kind = Node::Kind::real;
            result.real = node.as_floating_point()->get();
            break;
        case toml::node_type::string:
            result.kind = Node::Kind::text;
            result.text = node.as_string()->get();
            break;
        case toml::node_type::array:
            result.kind = Node::Kind::list;
            for (const toml::node& item : *node.as_array())
                result.items.push_back(converted(item, source));
            break;
        case toml::node_type::table:
            result.kind = Node::Kind::table;
            result.entries = converted_entries(*node.as_table(), source);
            break;
        default:
            result.kind = Node::Kind::date;
    }
    return result;
}

std::string_view line_of(std::string_view text, uint32_t number) {
    for (uint32_t line = 1; line < number; ++line) {
        const size_t end = text.find('\n');
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
    std::string_view result = text.substr(0, text.find('\n'));
    if (result.ends_with('\r')) result.remove_suffix(1);
    return result;
}

std::string_view without_byte_order_mark(std::string_view text) {
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    if (text.starts_with(mark)) text.remove_prefix(mark.size());
    return text;
}

}  // namespace

std::string Place::text() const {
    if (!source) return {};
    return line == 0 ? *source : fmt::format("{}:{}:{}", *source, line, column);
}

const Entry* Node::find(std::string_view key) const {
    const auto found = std::ranges::find(entries, key, &Entry::key);
    return found == entries.end() ? nullptr : &*found;
}

Entry* Node::find(std::string_view key) {
    const auto found = std::ranges::find(entries, key, &Entry::key);
    return found == entries.end() ? nullptr : &*found;
}

Node parse_document(const std::string& toml, const std::string& name) {
    const std::string_view text = without_byte_order_mark(toml);
    check_before_parsing(text, name);
    const auto source = std::make_shared<const std::string>(name);
    try {
        return converted(toml::parse(text), source);
    } catch (const toml::parse_error& error) {
        const toml::source_position at = error.source().begin;
        SyntaxProblem problem = explain_syntax_error(error.description(), line_of(text, at.line));
        const auto column = problem.column ? static_cast<uint32_t>(problem.column) : at.column;
        throw Error(Exit::usage, Place{source, at.line, column}.text(), std::move(problem.what),
                    std::move(problem.advice));
    }
}

std::optional<Node> parse_value(const std::string& toml, const Place& place) {
    if (toml.find_first_of("\r\n") != std::string::npos) return std::nullopt;
    const std::string document = "value = " + toml;
    try {
        check_before_parsing(document, "");
        const toml::table table = toml::parse(document);
        Node value = converted(*table.get("value"), place.source);
        value.place = place;
        for (Node& item : value.items)
            item.place = place;
        return value;
    } catch (const toml::parse_error&) {
        return std::nullopt;
    } catch (const Error&) {
        return std::nullopt;
    }
}

std::string toml_number(double value, bool integer) {
    if (integer) return fmt::format("{:.0f}", value);
    std::string text = fmt::format("{}", value);
    if (text.find_first_of(".einf") == std::string::npos) text += ".0";
    return text;
}

std::string described(const Node& node) {
    switch (node.kind) {
        case Node::Kind::boolean:
            return node.boolean ? "true" : "false";
        case Node::Kind::integer:
            return fmt::format("the integer {}", node.integer);
        case Node::Kind::real:
            return "the number " + toml_number(node.real, false);
        case Node::Kind::text:
            return fmt::format("the text \"{}\"", text::printable(node.text, 60));
        case Node::Kind::list:
            return node.items.empty() ? "an empty list" : "a list";
        case Node::Kind::table:
            return "a table";
        case Node::Kind::date:
            break;
    }
    return "a date or time";
}

}  // namespace halftone
