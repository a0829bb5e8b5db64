#include "core/plan/marker_json.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include <halftone/toolbox/python_values.hpp>

#include "core/checkpoint/marker_text.hpp"

namespace halftone {
namespace {

constexpr size_t longest_whole = 4300;  // digits, beyond which Python refuses to read one

// What a number is replaced by that is too large for a double, which Python takes for infinite. As a
// separate word: nothing may follow a number but what may follow this.
constexpr std::string_view infinite = " 1e308 ";

bool is_infinite(std::string_view number) {
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc::result_out_of_range || end != number.data() + number.size()) return false;
    if (number.find_first_of(".eE") == std::string_view::npos) return number.size() <= longest_whole;
    return number.find("e-") == std::string_view::npos &&
           number.find("E-") == std::string_view::npos;  // those are too small, and 0
}

// How many characters a number has, or a word that Python takes for one; 0: another thing stands there.
size_t length_of_number(std::string_view text) {
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"})
        if (text.starts_with(word)) return word.size();
    if (text.front() != '-' && (text.front() < '0' || text.front() > '9')) return 0;
    return std::min(text.find_first_not_of("0123456789.eE+-", 1), text.size());
}

// NaN, Infinity and numbers too large for a double, which Python takes outside of texts, as numbers of the
// same truth.
std::string with_plain_numbers(std::string_view text) {
    std::string result;
    bool quoted = false;
    for (size_t i = 0; i < text.size();) {
        const char c = text[i];
        size_t length = quoted && c == '\\' ? std::min<size_t>(2, text.size() - i) : 1;
        if (c == '"') quoted = !quoted;
        if (const size_t number = quoted ? 0 : length_of_number(text.substr(i)); number > 0) length = number;
        const std::string_view word = text.substr(i, length);
        const bool large =
            !quoted && c != '"' && (word.ends_with('N') || word.ends_with('y') || is_infinite(word));
        result += large ? infinite : word;
        i += length;
    }
    return result;
}

}  // namespace

PythonJson read_python_json(std::string_view text) {
    if (is_nested_too_deeply(text)) return {SortedJson(SortedJson::value_t::discarded), true};
    return {parse_sorted_json(with_plain_numbers(text)), false};
}

MarkerJson read_marker_json(std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto fault = [](const std::string& why) {
        return MarkerJson{SortedJson(SortedJson::value_t::discarded), why};
    };
    if (text.find_first_not_of(std::string_view("\0 \t\r\n", 5)) == std::string_view::npos)
        return fault("its marker is empty");
    const std::optional<std::string> utf8 = decoded_marker(text);
    if (!utf8) return fault("its marker is no text");
    if (utf8->find('\0') != std::string::npos)  // the end of the text to our parser, and none to Python's
        return fault(utf8->ends_with('\0')
                         ? "its marker ends in NUL bytes, which loaders' JSON readers refuse"
                         : "its marker is no JSON");
    PythonJson read = read_python_json(*utf8);
    if (read.too_deep) return fault("its marker is nested too deeply");
    if (read.value.is_discarded()) return fault("its marker is no JSON");
    if (!read.value.is_object())
        return fault(fmt::format("its marker is {}, not an object", read.value.type_name()));
    return {std::move(read.value), ""};
}

bool is_true(const SortedJson& value) {
    return toolbox::python_truth(value.dump());
}

std::optional<int64_t> as_whole(const SortedJson& value) {
    return toolbox::python_int(value.dump());
}

bool asks_for_full_precision(const SortedJson& marker) {
    const SortedJson* found = first_of(marker, {"full_precision_matrix_mult"});
    return found && is_true(*found);
}

std::string label_of(const SortedJson& marker) {
    if (!marker.is_object()) return "";
    const auto found = marker.find("format");
    return found != marker.end() && found->is_string() ? found->get<std::string>() : "";
}

const SortedJson* first_of(const SortedJson& marker, const std::vector<std::string>& keys) {
    constexpr std::string_view inside = "params.";
    for (const std::string& key : keys) {
        const SortedJson* at = &marker;
        std::string_view name = key;
        if (name.starts_with(inside)) {
            const auto params = marker.find("params");
            if (params == marker.end() || !params->is_object()) continue;
            at = &*params;
            name.remove_prefix(inside.size());
        }
        const auto found = at->find(std::string(name));
        if (found != at->end()) return &*found;
    }
    return nullptr;
}

}  // namespace halftone
