#include "core/checkpoint/marker_text.hpp"

#include <cstdint>

namespace halftone {
namespace {

struct Encoding {
    size_t unit, mark;  // bytes of a unit, and of the mark of the byte order in front
    bool big;
};

// As Python's json finds it out.
Encoding encoding_of(std::string_view bytes) {
    using namespace std::string_view_literals;
    if (bytes.starts_with("\0\0\xFE\xFF"sv)) return {4, 4, true};
    if (bytes.starts_with("\xFF\xFE\0\0"sv)) return {4, 4, false};
    if (bytes.starts_with("\xFE\xFF"sv)) return {2, 2, true};
    if (bytes.starts_with("\xFF\xFE"sv)) return {2, 2, false};
    if (bytes.starts_with("\xEF\xBB\xBF"sv)) return {1, 3, false};
    if (bytes.size() >= 4) {
        if (bytes[0] == 0) return {bytes[1] != 0 ? size_t{2} : 4, 0, true};
        if (bytes[1] == 0) return {bytes[2] != 0 || bytes[3] != 0 ? size_t{2} : 4, 0, false};
    } else if (bytes.size() == 2 && (bytes[0] == 0) != (bytes[1] == 0)) {
        return {2, 0, bytes[0] == 0};
    }
    return {1, 0, false};
}

uint32_t unit_at(std::string_view bytes, size_t at, const Encoding& encoding) {
    uint32_t value = 0;
    for (size_t i = 0; i < encoding.unit; ++i) {
        const size_t place = at + (encoding.big ? i : encoding.unit - 1 - i);
        value = value << 8 | static_cast<uint8_t>(bytes[place]);
    }
    return value;
}

void append_utf8(uint32_t c, std::string& text) {
    const auto add = [&](uint32_t byte) { text += static_cast<char>(byte); };
    if (c < 0x80) return add(c);
    if (c < 0x800) {
        add(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            add(0xE0 | c >> 12);
        } else {
            add(0xF0 | c >> 18);
            add(0x80 | (c >> 12 & 0x3F));
        }
        add(0x80 | (c >> 6 & 0x3F));
    }
    add(0x80 | (c & 0x3F));
}

// Nothing if a unit is cut off or stands for no character.
std::optional<std::string> decoded(std::string_view bytes, const Encoding& encoding) {
    if (bytes.size() % encoding.unit != 0) return std::nullopt;
    std::string text;
    for (size_t at = 0; at < bytes.size(); at += encoding.unit) {
        uint32_t c = unit_at(bytes, at, encoding);
        if (encoding.unit == 2 && c >= 0xD800 && c < 0xDC00 && at + 4 <= bytes.size()) {
            const uint32_t low = unit_at(bytes, at + 2, encoding);
            if (low < 0xDC00 || low > 0xDFFF) return std::nullopt;
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            at += 2;
        }
        if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return std::nullopt;
        append_utf8(c, text);
    }
    return text;
}

}  // namespace

std::optional<std::string> decoded_marker(std::string_view bytes) {
    const Encoding encoding = encoding_of(bytes);
    bytes.remove_prefix(encoding.mark);
    return encoding.unit == 1 ? std::string(bytes) : decoded(bytes, encoding);
}

std::string marker_text(std::string bytes) {
    return decoded_marker(bytes).value_or(std::move(bytes));
}

}  // namespace halftone
