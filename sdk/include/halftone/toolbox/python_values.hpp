// Values of a marker, JSON as JsonMembers::raw() gives it, as loaders written in Python take them.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace halftone {
inline namespace v1 {
namespace toolbox {

namespace detail {

constexpr std::string_view json_space = " \t\r\n", python_space = " \t\r\n\v\f";

// What is too small for a double is 0, what is too large infinite.
inline std::optional<double> python_number(std::string_view json) {
    double number = 0;
    const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), number);
    if (end != json.data() + json.size()) return std::nullopt;
    if (error == std::errc::result_out_of_range)
        return json.find("e-") != json.npos || json.find("E-") != json.npos ? 0.0 : HUGE_VAL;
    return error == std::errc() ? std::optional(number) : std::nullopt;
}

// The characters of a JSON text that stand between its quotes, as far as int() can make use of them: others
// than ASCII become something that is no digit.
inline std::string ascii_of(std::string_view json) {
    std::string text;
    for (size_t i = 0; i < json.size(); ++i) {
        if (json[i] != '\\' || ++i == json.size()) {
            text += json[i < json.size() ? i : i - 1];
        } else if (json[i] == 'u') {
            unsigned code = 0;
            const std::string_view hex = json.substr(i + 1, 4);
            const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
            const bool ascii = error == std::errc() && end == hex.data() + 4 && code < 0x80;
            text += ascii ? static_cast<char>(code) : '?';
            i += hex.size();
        } else {
            const size_t at = std::string_view("tnrfb").find(json[i]);
            text += at == std::string_view::npos ? json[i] : "\t\n\r\f\b"[at];
        }
    }
    return text;
}

// int(text): white space around it, a sign, digits with single underscores between them.
inline std::optional<int64_t> python_whole(std::string_view json) {
    const std::string plain = ascii_of(json);
    std::string_view text = plain;
    const size_t first = text.find_first_not_of(python_space);
    if (first == text.npos) return std::nullopt;
    text = text.substr(first, text.find_last_not_of(python_space) - first + 1);
    std::string digits;
    if (text.front() == '-') digits = "-";
    if (text.front() == '-' || text.front() == '+') text.remove_prefix(1);
    for (size_t i = 0; i < text.size(); ++i) {
        const bool between = i > 0 && i + 1 < text.size() && text[i - 1] != '_';
        if (text[i] == '_' && between) continue;
        if (text[i] < '0' || text[i] > '9') return std::nullopt;
        digits += text[i];
    }
    int64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc() && end == digits.data() + digits.size() ? std::optional(number)
                                                                        : std::nullopt;
}

}  // namespace detail

// bool(value): of nothing but null, false, 0 and what is empty it is false. The text "false" is true.
inline bool python_truth(std::string_view json) {
    if (json == "null" || json == "false" || json.empty()) return false;
    if (json.front() == '"') return json.size() > 2;
    if (json.front() == '[' || json.front() == '{')
        return json.substr(1, json.size() - 2).find_first_not_of(detail::json_space) != json.npos;
    return detail::python_number(json) != 0.0;  // what is no number: true, NaN, Infinity
}

// int(value): text of digits counts, fractions are cut off. Nothing where Python fails, or where the number
// is none of any use.
inline std::optional<int64_t> python_int(std::string_view json) {
    if (json.empty()) return std::nullopt;
    if (json == "true" || json == "false") return json == "true";
    if (json.front() == '"') return detail::python_whole(json.substr(1, json.size() - 2));
    int64_t whole = 0;
    const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), whole);
    if (error == std::errc() && end == json.data() + json.size()) return whole;
    const auto number = detail::python_number(json);
    if (!number || !(std::fabs(*number) < 0x1p62)) return std::nullopt;
    return static_cast<int64_t>(*number);
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
