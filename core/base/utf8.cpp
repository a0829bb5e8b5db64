#include "core/base/utf8.hpp"

#include <algorithm>
#include <array>

namespace halftone {

namespace {

struct Range {
    char32_t first, last;
};

// In ascending order.
constexpr std::array<Range, 24> deceptive = {{
    {0x0000, 0x001F},      // C0 controls
    {0x007F, 0x009F},      // delete, C1 controls
    {0x00AD, 0x00AD},      // soft hyphen
    {0x034F, 0x034F},      // combining grapheme joiner
    {0x061C, 0x061C},      // Arabic letter mark
    {0x115F, 0x1160},      // Hangul fillers
    {0x17B4, 0x17B5},      // Khmer inherent vowels
    {0x180B, 0x180F},      // Mongolian separators and selectors
    {0x200B, 0x200F},      // zero width, direction marks
    {0x2028, 0x202E},      // line and paragraph separators, embeddings and overrides
    {0x2060, 0x206F},      // word joiner, invisible operators, isolates, deprecated controls
    {0x3164, 0x3164},      // Hangul filler
    {0xFDD0, 0xFDEF},      // noncharacters
    {0xFE00, 0xFE0F},      // variation selectors
    {0xFEFF, 0xFEFF},      // byte order mark
    {0xFFA0, 0xFFA0},      // half-width Hangul filler
    {0xFFF0, 0xFFFB},      // unassigned specials, interlinear annotations
    {0x13430, 0x1345F},    // hieroglyph format controls
    {0x1BCA0, 0x1BCA3},    // shorthand format controls
    {0x1D173, 0x1D17A},    // musical format controls
    {0xE0000, 0xE0FFF},    // tags, more variation selectors
    {0xF0000, 0xFFFFF},    // private use: no font shows the same
    {0x100000, 0x10FFFF},  // the same
    {0x110000, 0xFFFFFFFF},
}};

}  // namespace

bool is_deceptive(char32_t c) {
    if ((c & 0xFFFEu) == 0xFFFE) return true;  // the last two of each plane are noncharacters
    const auto* const at = std::ranges::lower_bound(deceptive, c, {}, &Range::last);
    return at != deceptive.end() && c >= at->first;
}

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
