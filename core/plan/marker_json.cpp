#include "core/plan/marker_json.hpp"

#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace halftone {
namespace {

constexpr std::string_view python_blanks(" \t\n\r\v\f", 6);

void append_utf8(std::string& to, uint32_t code) {
    const auto add = [&](uint32_t byte) { to += static_cast<char>(byte); };
    if (code < 0x80) {
        add(code);
    } else if (code < 0x800) {
        add(0xC0 | code >> 6);
        add(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        add(0xE0 | code >> 12);
        add(0x80 | (code >> 6 & 0x3F));
        add(0x80 | (code & 0x3F));
    } else {
        add(0xF0 | code >> 18);
        add(0x80 | (code >> 12 & 0x3F));
        add(0x80 | (code >> 6 & 0x3F));
        add(0x80 | (code & 0x3F));
    }
}

// How many bytes a character has, and which comes first: told, as Python does, by where the first ones are 0.
struct Encoding {
    size_t width = 1;
    bool big_endian = false;
    size_t mark = 0;  // bytes of the byte order mark
};

Encoding encoding_of(std::string_view text) {
    using namespace std::string_view_literals;
    if (text.starts_with("\xFF\xFE\0\0"sv)) return {4, false, 4};
    if (text.starts_with("\0\0\xFE\xFF"sv)) return {4, true, 4};
    if (text.starts_with("\xFF\xFE"sv)) return {2, false, 2};
    if (text.starts_with("\xFE\xFF"sv)) return {2, true, 2};
    if (text.starts_with("\xEF\xBB\xBF"sv)) return {1, false, 3};
    const auto zero = [&](size_t i) { return i < text.size() && text[i] == '\0'; };
    if (text.size() >= 4) {
        if (zero(0)) return zero(1) ? Encoding{4, true, 0} : Encoding{2, true, 0};
        if (zero(1)) return zero(2) && zero(3) ? Encoding{4, false, 0} : Encoding{2, false, 0};
    } else if (text.size() == 2) {
        if (zero(0)) return {2, true, 0};
        if (zero(1)) return {2, false, 0};
    }
    return {};
}

std::optional<std::string> as_utf8(std::string_view text, const Encoding& encoding) {
    text.remove_prefix(encoding.mark);
    if (encoding.width == 1) return std::string(text);
    if (text.size() % encoding.width != 0) return std::nullopt;
    const auto unit = [&](size_t at) {
        uint32_t value = 0;
        for (size_t i = 0; i < encoding.width; ++i) {
            const size_t from = encoding.big_endian ? i : encoding.width - 1 - i;
            value = value << 8 | static_cast<unsigned char>(text[at + from]);
        }
        return value;
    };
    std::string result;
    for (size_t at = 0; at < text.size(); at += encoding.width) {
        uint32_t code = unit(at);
        if (encoding.width == 2 && code >= 0xD800 && code < 0xDC00 && at + 2 < text.size()) {
            const uint32_t low = unit(at + 2);
            if (low >= 0xDC00 && low < 0xE000) {
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                at += 2;
            }
        }
        if (code > 0x10FFFF) return std::nullopt;
        append_utf8(result, code);
    }
    return result;
}

// NaN and Infinity, which Python takes outside of texts, as numbers of the same truth.
std::string with_plain_numbers(const std::string& text) {
    std::string result;
    bool quoted = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted && c == '\\' && i + 1 < text.size()) {
            result += c;
            result += text[++i];
            continue;
        }
        if (c == '"') quoted = !quoted;
        bool replaced = false;
        if (!quoted)
            for (const std::string_view word : {"NaN", "Infinity"})
                if (text.compare(i, word.size(), word) == 0) {
                    result += "1e308";
                    i += word.size() - 1;
                    replaced = true;
                    break;
                }
        if (!replaced) result += c;
    }
    return result;
}

}  // namespace

MarkerJson read_marker_json(std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto fault = [](const std::string& why) { return MarkerJson{Json(Json::value_t::discarded), why}; };
    if (text.find_first_not_of(std::string_view("\0 \t\r\n", 5)) == std::string_view::npos)
        return fault("its marker is empty");
    const Encoding encoding = encoding_of(text);
    const std::optional<std::string> utf8 = as_utf8(text, encoding);
    if (!utf8) return fault("its marker is no text");
    if (utf8->find('\0') != std::string::npos)  // the end of the text to our parser, and none to Python's
        return fault(utf8->ends_with('\0')
                         ? "its marker ends in NUL bytes, which loaders' JSON readers refuse"
                         : "its marker is no JSON");
    Json value = Json::parse(with_plain_numbers(*utf8), nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) return fault("its marker is no JSON");
    if (!value.is_object()) return fault(fmt::format("its marker is {}, not an object", value.type_name()));
    return {std::move(value), ""};
}

bool is_true(const Json& value) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number()) return value.get<double>() != 0;
    if (value.is_string()) return !value.get_ref<const std::string&>().empty();
    return !value.is_null() && !value.empty();
}

std::optional<int64_t> as_whole(const Json& value) {
    if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
    if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
    if (value.is_number_integer()) return value.get<int64_t>();
    if (value.is_number_float()) {
        const double number = std::trunc(value.get<double>());
        if (!(std::abs(number) < 9e15)) return std::nullopt;
        return static_cast<int64_t>(number);
    }
    if (!value.is_string()) return std::nullopt;
    std::string_view text = value.get_ref<const std::string&>();
    const size_t first = text.find_first_not_of(python_blanks);
    if (first == std::string_view::npos) return std::nullopt;
    text = text.substr(first, text.find_last_not_of(python_blanks) + 1 - first);
    if (text.starts_with('+')) text.remove_prefix(1);
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

const Json* first_of(const Json& marker, const std::vector<std::string>& keys) {
    constexpr std::string_view inside = "params.";
    for (const std::string& key : keys) {
        const Json* at = &marker;
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
