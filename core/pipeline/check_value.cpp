#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/section_values.hpp"

namespace halftone {
namespace {

using schema::Key;
using schema::Type;

const char* expectation(Type type) {
    switch (type) {
        case Type::boolean:
            return "true or false";
        case Type::integer:
            return "an integer";
        case Type::real:
            return "a number";
        case Type::size:
            return "a size such as \"64MiB\"";
        case Type::text:
        case Type::path:
        case Type::choice:
        case Type::plugin:
            return "text in quotes";
        case Type::texts:
        case Type::plugins:
            break;
    }
    return "text in quotes or a list of texts";
}

[[noreturn]] void refuse_type(const Key& key, const Node& node) {
    // Someone who quotes a number or `true` needs only be told to drop the quotes.
    const bool quoted_value =
        node.kind == Node::Kind::text && key.type != Type::size && parse_value(node.text, {}).has_value();
    throw Error(
        Exit::usage, node.place.text(),
        fmt::format("{}: expected {}, but found {}", key.title(), expectation(key.type), described(node)),
        quoted_value ? "leave out the quotes" : "");
}

std::vector<std::string> words_of(const Key& key) {
    return {key.choices.begin(), key.choices.end()};
}

bool is_word_of(const Key& key, std::string_view text) {
    return std::ranges::find(key.choices, text) != key.choices.end();
}

std::string quoted_words(const Key& key) {
    std::vector<std::string> words;
    for (std::string_view word : key.choices)
        words.push_back(fmt::format("\"{}\"", word));
    return schema::alternatives(words);
}

void check_size(const Key& key, const Node& node) {
    std::optional<uint64_t> size;
    if (node.kind == Node::Kind::integer && node.integer >= 0) size = static_cast<uint64_t>(node.integer);
    if (node.kind == Node::Kind::text) size = text::parse_bytes(node.text);
    if (!size) refuse_type(key, node);
    const auto bytes = static_cast<double>(*size);
    if (*size == text::parse_bytes(key.fallback)) return;
    if (bytes < key.least)
        fail(Exit::usage, node.place.text(), "{} must be at least {}, not {}", key.title(),
             text::bytes(static_cast<uint64_t>(key.least)), text::bytes(*size));
    if (bytes > key.most) fail(Exit::usage, node.place.text(), "{} is too large", key.title());
}

void check_number(const Key& key, const Node& node) {
    const bool integer = node.kind == Node::Kind::integer;
    if (!integer && (key.type == Type::integer || node.kind != Node::Kind::real)) refuse_type(key, node);
    const double value = integer ? static_cast<double>(node.integer) : node.real;
    // Written so that NaN is refused too.
    if (!(value >= key.least && value <= key.most))
        fail(Exit::usage, node.place.text(), "{} must be between {} and {}, not {}", key.title(),
             toml_number(key.least, key.type == Type::integer),
             toml_number(key.most, key.type == Type::integer), toml_number(value, integer));
}

void check_path(const Key& key, const Node& node) {
    if (node.text.empty() && key.fallback == R"("")") return;  // as if it were not there
    if (node.text.empty()) fail(Exit::usage, node.place.text(), "{} is empty", key.title());
    if (node.text.find('\0') != std::string::npos)
        fail(Exit::usage, node.place.text(), "{}: a path cannot hold a NUL character", key.title());
    if (node.text == "~" || node.text.starts_with("~/"))
        throw Error(Exit::usage, node.place.text(), fmt::format("{}: '~' is not expanded here", key.title()),
                    "write the whole path, or one relative to the pipeline's folder");
}

void check_choice(const Key& key, const Node& node) {
    if (is_word_of(key, node.text)) return;
    fail(Exit::usage, node.place.text(), "{} must be {}, not \"{}\"{}", key.title(), quoted_words(key),
         text::printable(node.text, 60), text::did_you_mean(node.text, words_of(key)));
}

void check_plugin(const Key& key, const Node& node) {
    if (is_word_of(key, node.text)) return;
    // A word of this kind that the key does not take is left to those who know why: a rule has an action.
    if (schema::is_word_for(key.plugin_kind, node.text)) return;
    if (schema::is_word(node.text))
        throw Error(
            Exit::usage, node.place.text(),
            fmt::format("{}: \"{}\" is no {}", key.title(), node.text, key.plugin_kind),
            key.choices.empty() ? "" : fmt::format("{} is a word of its own here", quoted_words(key)));
    check_plugin_id(node.text, key.plugin_kind, node.place);
}

void check_list(const Key& key, const Node& node) {
    if (node.kind == Node::Kind::list && node.items.empty())
        fail(Exit::usage, node.place.text(), "{} is an empty list", key.title());
    const auto check_item = [&](const Node& item) {
        if (item.kind != Node::Kind::text) refuse_type(key, item);
        if (item.text.empty()) fail(Exit::usage, item.place.text(), "{} is empty", key.title());
        if (key.type == Type::plugins) check_plugin(key, item);
    };
    if (node.kind != Node::Kind::list) return check_item(node);
    for (const Node& item : node.items)
        check_item(item);
}

bool is_default(const Key& key, const Node& given) {
    const std::optional<Node> fallback = parse_value(std::string(key.fallback), {});
    if (!fallback) return false;
    if (key.type == Type::real) {
        const auto real = [](const Node& node) {
            return node.kind == Node::Kind::integer ? static_cast<double>(node.integer) : node.real;
        };
        return real(given) == real(*fallback);
    }
    return given.kind == fallback->kind && given.boolean == fallback->boolean &&
           given.integer == fallback->integer && given.text == fallback->text;
}

}  // namespace

void check_value(const Key& key, const Entry& entry) {
    const Node& node = entry.value;
    const bool textual = key.type == Type::text || key.type == Type::path || key.type == Type::choice ||
                         key.type == Type::plugin;
    if (textual && node.kind != Node::Kind::text) refuse_type(key, node);
    if (key.type == Type::boolean && node.kind != Node::Kind::boolean) refuse_type(key, node);
    if (!key.available) {
        if (is_default(key, node)) return;
        throw Error(Exit::usage, entry.place.text(),
                    fmt::format("{} is not available in this version", key.title()), "leave it out");
    }
    switch (key.type) {
        case Type::size:
            return check_size(key, node);
        case Type::integer:
        case Type::real:
            return check_number(key, node);
        case Type::path:
            return check_path(key, node);
        case Type::choice:
            return check_choice(key, node);
        case Type::plugin:
            return check_plugin(key, node);
        case Type::texts:
        case Type::plugins:
            return check_list(key, node);
        case Type::boolean:
        case Type::text:
            break;
    }
}

}  // namespace halftone
