#include "core/base/utf8.hpp"

namespace halftone {

Utf8Step utf8_step(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    constexpr Utf8Step broken = {1, 0xFFFD, false};
    const unsigned char first = byte(0);
    if (first < 0x80) return {1, first, true};

    // Length, the smallest number that needs it, and the bits of the first byte.
    size_t length = 0;
    char32_t least = 0, character = 0;
    if (first >= 0xC0 && first < 0xE0) {
        length = 2, least = 0x80, character = first & 0x1Fu;
    } else if (first >= 0xE0 && first < 0xF0) {
        length = 3, least = 0x800, character = first & 0x0Fu;
    } else if (first >= 0xF0 && first < 0xF8) {
        length = 4, least = 0x10000, character = first & 0x07u;
    } else {
        return broken;
    }
    if (text.size() < length) return broken;
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0u) != 0x80) return broken;
        character = character << 6 | (byte(i) & 0x3Fu);
    }
    if (character < least || character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF))
        return broken;
    return {length, character, true};
}

}  // namespace halftone
