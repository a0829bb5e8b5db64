#include "plugins/option_text.hpp"

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>

#include "core/base/text.hpp"

namespace halftone {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;  // clang 14 cannot deduce it

constexpr int64_t largest_whole = std::numeric_limits<int64_t>::max();

// What was written, for the end of a message: "the text \"big\"".
std::string spoken(const GivenValue& given) {
    return std::visit(
        Overloaded{
            [](bool value) { return std::string(value ? "true" : "false"); },
            [](int64_t value) { return fmt::format("{}", value); },
            [](double value) { return fmt::format("{}", value); },
            [](const std::string& value) { return fmt::format("the text \"{}\"", text::printable(value)); },
            [](const std::vector<std::string>&) { return std::string("a list"); },
        },
        given.value);
}

[[noreturn]] void misfit(const std::string& wanted, const GivenValue& given, const std::string& hint = {}) {
    throw Misfit("must be " + wanted + ", not " + spoken(given) + hint);
}

bool has_range(const ht_option& row) {
    return row.least != 0 || row.most != 0;
}

std::string range_text(const ht_option& row) {
    const auto edge = [&](double value) {
        return row.type == HT_SIZE ? text::bytes(static_cast<uint64_t>(value)) : fmt::format("{}", value);
    };
    if (std::isinf(row.most)) return "at least " + edge(row.least);
    if (std::isinf(row.least)) return "at most " + edge(row.most);
    return "between " + edge(row.least) + " and " + edge(row.most);
}

void check_range(const ht_option& row, double value, const GivenValue& given) {
    if (has_range(row) && !(value >= row.least && value <= row.most)) misfit(range_text(row), given);
}

void check_characters(const std::string& value) {
    if (!text::is_utf8(value)) throw Misfit("must be UTF-8");
    if (value.find('\0') != std::string::npos) throw Misfit("must not contain a NUL character");
}

OptionValue fitted_size(const ht_option& row, const GivenValue& given) {
    std::optional<uint64_t> bytes;
    if (const auto* number = std::get_if<int64_t>(&given.value); number && *number >= 0)
        bytes = static_cast<uint64_t>(*number);
    else if (const auto* written = std::get_if<std::string>(&given.value))
        bytes = text::parse_bytes(*written);
    if (!bytes || *bytes > static_cast<uint64_t>(largest_whole))
        misfit("a size in bytes such as 65536 or \"64MiB\"", given);
    check_range(row, static_cast<double>(*bytes), given);
    return {static_cast<int64_t>(*bytes), 0, {}, {}};
}

OptionValue fitted_real(const ht_option& row, const GivenValue& given) {
    double value = 0;
    if (const auto* real = std::get_if<double>(&given.value))
        value = *real;
    else if (const auto* whole = std::get_if<int64_t>(&given.value))
        value = static_cast<double>(*whole);
    else
        misfit("a number", given);
    if (!std::isfinite(value)) misfit("a finite number", given);
    check_range(row, value, given);
    return {0, value, {}, {}};
}

// What was written, as the text of a choice: choices may be numbers, and people write those without quotes.
std::optional<std::string> as_choice(const GivenValue& given) {
    if (const auto* text = std::get_if<std::string>(&given.value)) return *text;
    if (const auto* whole = std::get_if<int64_t>(&given.value)) return fmt::format("{}", *whole);
    if (const auto* real = std::get_if<double>(&given.value)) return fmt::format("{}", *real);
    return std::nullopt;
}

OptionValue fitted_choice(const ht_option& row, const GivenValue& given) {
    const std::vector<std::string> choices = choices_of(row);
    std::optional<std::string> written = as_choice(given);
    for (const auto& [other, choice] : choice_aliases_of(row))
        if (written == other) written = choice;
    for (size_t i = 0; written && i < choices.size(); ++i)
        if (*written == choices[i]) return {static_cast<int64_t>(i), 0, *written, {}};
    std::vector<std::string> quoted;
    quoted.reserve(choices.size());
    for (const std::string& choice : choices)
        quoted.push_back('"' + choice + '"');
    misfit((quoted.size() == 1 ? "" : "one of ") + text::join(quoted, ", "), given,
           std::holds_alternative<std::string>(given.value) ? text::did_you_mean(*written, choices) : "");
}

template <class T>
std::optional<T> parsed(const std::string& written) {
    T value{};
    const auto [end, problem] = std::from_chars(written.data(), written.data() + written.size(), value);
    if (problem != std::errc() || end != written.data() + written.size()) return std::nullopt;
    return value;
}

std::string trimmed(const std::string& item) {
    const size_t first = item.find_first_not_of(' ');
    return first == std::string::npos ? "" : item.substr(first, item.find_last_not_of(' ') - first + 1);
}

// The text of a default, as the value that a person would have written in TOML.
GivenValue written_default(const ht_option& row) {
    const std::string written = row.fallback;
    GivenValue given{written, {}};
    if (row.type == HT_BOOL && (written == "true" || written == "false")) given.value = written == "true";
    if (row.type == HT_INT)
        if (const auto whole = parsed<int64_t>(written)) given.value = *whole;
    if (row.type == HT_FLOAT)
        if (const auto real = parsed<double>(written)) given.value = *real;
    if (row.type == HT_LIST) {
        std::vector<std::string> items;
        for (const std::string& item : text::split(written, ','))
            items.push_back(trimmed(item));
        given.value = items;
    }
    return given;
}

}  // namespace

std::string_view type_name(ht_type type) {
    switch (type) {
        case HT_BOOL:
            return "true or false";
        case HT_INT:
            return "whole number";
        case HT_FLOAT:
            return "number";
        case HT_SIZE:
            return "size in bytes";
        case HT_TEXT:
            return "text";
        case HT_CHOICE:
            return "choice";
        case HT_LIST:
            return "list of texts";
        default:
            return "unknown";
    }
}

std::vector<std::string> choices_of(const ht_option& row) {
    std::vector<std::string> choices;
    for (const char* const* at = row.type == HT_CHOICE ? row.choices : nullptr; at && *at; ++at)
        if (std::string_view(*at).find('=') == std::string_view::npos) choices.emplace_back(*at);
    return choices;
}

std::vector<std::pair<std::string, std::string>> choice_aliases_of(const ht_option& row) {
    std::vector<std::pair<std::string, std::string>> aliases;
    for (const char* const* at = row.type == HT_CHOICE ? row.choices : nullptr; at && *at; ++at) {
        const std::string_view entry = *at;
        if (const size_t equals = entry.find('='); equals != std::string_view::npos)
            aliases.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
    }
    return aliases;
}

OptionValue fitted(const ht_option& row, const GivenValue& given) {
    switch (row.type) {
        case HT_BOOL:
            if (const auto* value = std::get_if<bool>(&given.value)) return {*value ? 1 : 0, 0, {}, {}};
            misfit("true or false", given);
        case HT_INT:
            if (const auto* value = std::get_if<int64_t>(&given.value)) {
                check_range(row, static_cast<double>(*value), given);
                return {*value, 0, {}, {}};
            }
            misfit("a whole number", given);
        case HT_FLOAT:
            return fitted_real(row, given);
        case HT_SIZE:
            return fitted_size(row, given);
        case HT_TEXT:
            if (const auto* value = std::get_if<std::string>(&given.value)) {
                check_characters(*value);
                return {0, 0, *value, {}};
            }
            misfit("a text", given);
        case HT_CHOICE:
            return fitted_choice(row, given);
        case HT_LIST:
            if (const auto* value = std::get_if<std::vector<std::string>>(&given.value)) {
                for (const std::string& item : *value)
                    check_characters(item);
                return {0, 0, {}, *value};
            }
            misfit("a list of texts", given);
        default:
            throw Misfit(fmt::format("has a type that this host does not know ({})", row.type));
    }
}

OptionValue default_of(const ht_option& row) {
    return fitted(row, written_default(row));
}

std::string as_toml(const ht_option& row, const OptionValue& value) {
    switch (row.type) {
        case HT_BOOL:
            return value.whole ? "true" : "false";
        case HT_INT:
        case HT_SIZE:
            return fmt::format("{}", value.whole);
        case HT_FLOAT: {
            std::string written = fmt::format("{}", value.real);
            // TOML tells 1 from 1.0.
            if (written.find_first_of(".e") == std::string::npos) written += ".0";
            return written;
        }
        case HT_LIST: {
            std::vector<std::string> quoted;
            quoted.reserve(value.items.size());
            for (const std::string& item : value.items)
                quoted.push_back(text::toml_quoted(item));
            return fmt::format("[{}]", text::join(quoted, ", "));
        }
        default:
            return text::toml_quoted(value.text);
    }
}

}  // namespace halftone
