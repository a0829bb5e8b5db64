#include "core/base/printable.hpp"

#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/utf8.hpp"

namespace halftone::text {
namespace {

std::string utf8_of(char32_t c) {
    const auto byte = [](char32_t bits) { return static_cast<char>(static_cast<unsigned char>(bits)); };
    if (c < 0x80) return {byte(c)};
    if (c < 0x800) return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
    if (c < 0x10000) return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
    return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)),
            byte(0x80 | (c & 0x3F))};
}

// Controls, directions, no width, tags, and neighbours that only look similar.
const std::vector<char32_t> forbidden = {0x00,    0x07,    0x0D,    0x1B,    0x7F,    0x80,    0x85,   0x9B,
                                         0x9F,    0xAD,    0x61C,   0x115F,  0x180E,  0x200B,  0x200C, 0x200D,
                                         0x200E,  0x200F,  0x2028,  0x2029,  0x202A,  0x202E,  0x2060, 0x2064,
                                         0x2066,  0x2069,  0x3164,  0xFE0F,  0xFEFF,  0xFFFE,  0xFFFF, 0xFDD0,
                                         0x1D173, 0xE0001, 0xE0041, 0xE007F, 0xE0100, 0x10FFFF};

bool has_deceptive(std::string_view text, bool lines = false) {
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        if (!step.valid || (is_deceptive(step.character) && !(lines && step.character == '\n'))) return true;
        text.remove_prefix(step.bytes);
    }
    return false;
}

TEST(DeceptiveCharacters, AreThoseThatSteerOrHide) {
    for (const char32_t c : forbidden)
        EXPECT_TRUE(is_deceptive(c)) << std::hex << static_cast<unsigned>(c);
    for (const char32_t c :
         {U' ', U'~', char32_t(0xA0), U'é', char32_t(0x61B), char32_t(0x61D), U'漢', char32_t(0x2010),
          char32_t(0x2026), char32_t(0xFFFD), char32_t(0x1F600), char32_t(0xE000)})
        EXPECT_FALSE(is_deceptive(c)) << std::hex << static_cast<unsigned>(c);
}

TEST(Printable, LeavesNoDeceptiveCharacterAndChangesNothingTwice) {
    for (const char32_t c : forbidden) {
        const std::string shown = printable("a" + utf8_of(c) + "b");
        EXPECT_FALSE(has_deceptive(shown)) << shown;
        EXPECT_EQ(printable(shown), shown);
    }
    EXPECT_EQ(printable("\U000E0041\u061C\u200B"), "\\U000e0041\\u061c\\u200b");
}

TEST(PrintableLines, KeepsLinesAndTabsAndNothingElse) {
    EXPECT_EQ(printable_lines("one\n\ttwo\x1b[2J\r\n"), "one\n\ttwo\\x1b[2J\\r\n");
    EXPECT_EQ(printable_lines(""), "");
}

TEST(IndentedLines, CannotBeMistakenForMessages) {
    EXPECT_EQ(indented_lines("do this\nerror: forged\n  deeper"), "  do this\n  error: forged\n  deeper");
    EXPECT_EQ(indented_lines(""), "");
}

TEST(TomlPrintable, EscapesInTheWayOfToml) {
    EXPECT_EQ(toml_printable("a = \"\u202E\U000E0041\x1b\"\n\tb = 'é'\r\n"),
              "a = \"\\u202E\\U000E0041\\u001B\"\n\tb = 'é'\\u000D\n");
    EXPECT_EQ(toml_printable("\xFF"), "\uFFFD");
}

TEST(TomlQuoted, HoldsNoDeceptiveCharacter) {
    for (const char32_t c : forbidden)
        EXPECT_FALSE(has_deceptive(toml_quoted(utf8_of(c)))) << std::hex << static_cast<unsigned>(c);
    EXPECT_EQ(toml_quoted("\u202E\U000E0041"), "\"\\u202E\\U000E0041\"");
}

TEST(JsonText, KeepsEveryValueAndNoDeceptiveCharacter) {
    Json value;
    std::string all;
    for (const char32_t c : forbidden)
        all += utf8_of(c);
    value["key " + all] = {"é漢\U0001F600", all, "line\nbreak"};
    for (const std::string& text : {pretty(value), in_one_line(value)}) {
        EXPECT_FALSE(has_deceptive(text, /*lines=*/true)) << text;
        EXPECT_EQ(Json::parse(text), value);
    }
    EXPECT_EQ(in_one_line(Json("\U000E0041\u009B")), "\"\\udb40\\udc41\\u009b\"");
    EXPECT_EQ(in_one_line(Json("é")), "\"é\"");
}

}  // namespace

TEST(PrintableStreams, LetNothingDeceptivePassHoweverItArrives) {
    const std::string text = "tensor \u202E\x1b[31m \u009B é漢\U0001F600\n\xFF end";
    const std::string wanted = text::printable_lines(text);
    for (size_t piece = 1; piece < 7; ++piece) {
        std::ostringstream to;
        {
            PrintableStream out(to);
            for (size_t at = 0; at < text.size(); at += piece)
                out << text.substr(at, piece);
        }
        EXPECT_EQ(to.str(), wanted);
    }
    std::ostringstream to;
    PrintableStream out(to);
    for (const char c : text)
        out.put(c);
    out.flush();
    EXPECT_EQ(to.str(), wanted);
}

TEST(PrintableStreams, PassLongLinesOnWithoutBreakingCharacters) {
    std::string text;
    while (text.size() < 200'000)
        text += "é漢\U0001F600x";
    std::ostringstream to;
    PrintableStream out(to);
    out << text << "\n" << text;
    out.flush();
    EXPECT_EQ(to.str(), text + "\n" + text);
}

TEST(PrintableStreams, SayWhenNothingCanBeWritten) {
    std::ostringstream to;
    to.setstate(std::ios::badbit);
    PrintableStream out(to);
    out << "text";
    EXPECT_FALSE(out.flush());
}

}  // namespace halftone::text
