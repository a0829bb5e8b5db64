#include "core/base/text.hpp"

#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/base/json.hpp"

namespace halftone::text {
namespace {

TEST(Utf8, TakesEveryLengthOfCharacter) {
    EXPECT_TRUE(is_utf8(""));
    EXPECT_TRUE(is_utf8("plain"));
    EXPECT_TRUE(is_utf8("é漢\U0001F600\U0010FFFF"));
    EXPECT_TRUE(is_utf8(std::string_view("a\0b", 3)));
}

TEST(Utf8, RefusesWhatIsNoCharacter) {
    for (const char* broken :
         {"\x80", "\xC3", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\x80", "\xE2\x82", "\xED\xA0\x80",
          "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xFF", "a\xE9z"})
        EXPECT_FALSE(is_utf8(broken)) << printable(broken);
}

// nlohmann's parser validates UTF-8 with tables of its own.
TEST(Utf8, AgreesWithTheJsonParserOnRandomBytes) {
    std::mt19937 random(7);
    const std::string interesting =
        "\x41\x7F\x80\x8F\x90\x9F\xA0\xBF\xC2\xDF\xE0\xE1\xED\xEE\xF0\xF1\xF4\xF5\xFF";
    int valid = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text;
        for (size_t i = 0, n = random() % 6; i < n; ++i)
            text += interesting[random() % interesting.size()];
        EXPECT_EQ(is_utf8(text), Json::accept('"' + text + '"')) << printable(text);
        valid += is_utf8(text);
    }
    EXPECT_GT(valid, 100);
}

TEST(Printable, LeavesOrdinaryTextAlone) {
    EXPECT_EQ(printable("blocks.0/attn \\ é漢"), "blocks.0/attn \\ é漢");
}

TEST(Printable, EscapesWhatCouldSteerATerminal) {
    EXPECT_EQ(printable("a\x1b[31mb\n\t\r"), "a\\x1b[31mb\\n\\t\\r");
    EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
    EXPECT_EQ(printable("\x7F\xC2\x9B"), "\\x7f\\x9b");
    EXPECT_EQ(printable("\u202Egnp.exe"), "\\u202egnp.exe");
    EXPECT_EQ(printable("\xFF\xC3"), "\\xff\\xc3");
}

TEST(Printable, NeverExceedsItsLimitAndStaysUtf8) {
    std::mt19937 random(3);
    for (int round = 0; round < 5000; ++round) {
        std::string text;
        for (size_t i = 0, n = random() % 40; i < n; ++i)
            text += random() % 3 ? std::string("é") : std::string(1, static_cast<char>(random()));
        const size_t limit = random() % 40;
        const std::string shown = printable(text, limit);
        EXPECT_LE(shown.size(), limit);
        EXPECT_TRUE(is_utf8(shown));
        const std::string whole = printable(text, std::string::npos);
        if (whole.size() <= limit) {
            EXPECT_EQ(shown, whole);
        } else {
            EXPECT_TRUE(limit < 3 || shown.ends_with("…")) << shown;
        }
    }
    EXPECT_EQ(printable("abcdefgh", 8), "abcdefgh");
    EXPECT_EQ(printable("abcdefghi", 8), "abcde…");
}

const std::vector<std::string> options = {"scaling", "block_size", "element", "full_precision_mm"};

TEST(Closest, FindsTheMistypedWord) {
    EXPECT_EQ(closest("blok_size", options), "block_size");
    EXPECT_EQ(closest("block-size", options), "block_size");
    EXPECT_EQ(closest("BlockSize", options), "block_size");
    EXPECT_EQ(closest("sclaing", options), "scaling");
    EXPECT_EQ(closest("elements", options), "element");
}

TEST(Closest, SaysNothingWhereNothingIsNear) {
    EXPECT_EQ(closest("threads", options), std::nullopt);
    EXPECT_EQ(closest("", options), std::nullopt);
    EXPECT_EQ(closest("x", options), std::nullopt);
    EXPECT_EQ(closest("a", std::vector<std::string>{"b"}), std::nullopt);
    EXPECT_EQ(closest(std::string(100000, 'a'), options), std::nullopt);
    EXPECT_EQ(closest("block_size", {}), std::nullopt);
}

TEST(Closest, NeverChangesANumberOfBits) {
    const std::vector<std::string> formats = {"bf16", "e4m3fn", "e5m2", "fp4",  "fp8",
                                              "int8", "mxfp8",  "nf4",  "nvfp4"};
    for (const char* word : {"int4", "int16", "int2", "mxfp4", "mxfp6", "fp6", "e3m2"})
        EXPECT_EQ(closest(word, formats), std::nullopt) << word;
    EXPECT_EQ(closest("fp5", formats), std::nullopt);
    EXPECT_EQ(closest("f8p", formats), "fp8");
    EXPECT_EQ(closest("itn8", formats), "int8");
    EXPECT_EQ(closest("nvfp", formats), "nvfp4");
    EXPECT_EQ(closest("fp9", formats), std::nullopt) << "fp4 or fp8";
    EXPECT_EQ(closest("fp9", std::vector<std::string>{"fp8", "nf4"}), "fp8") << "nothing has 9 bits";
    EXPECT_EQ(closest("bf61", formats), "bf16");
}

TEST(DidYouMean, IsAnEndingForAMessage) {
    EXPECT_EQ(did_you_mean("blok_size", options), "; did you mean 'block_size'?");
    EXPECT_EQ(did_you_mean("threads", options), "");
}

TEST(Bytes, ArePrintedInBinaryUnits) {
    EXPECT_EQ(bytes(0), "0 B");
    EXPECT_EQ(bytes(820), "820 B");
    EXPECT_EQ(bytes(1023), "1023 B");
    EXPECT_EQ(bytes(1024), "1 KiB");
    EXPECT_EQ(bytes(1536u << 20), "1.5 GiB");
    EXPECT_EQ(bytes(256u << 20), "256 MiB");
    EXPECT_EQ(bytes((1u << 20) - 1), "1 MiB");
    EXPECT_EQ(bytes(24'000'000'000), "22.4 GiB");
    EXPECT_EQ(bytes(std::numeric_limits<uint64_t>::max()), "16 EiB");
}

TEST(Grouped, PutsCommasBetweenThousands) {
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1000), "1,000");
    EXPECT_EQ(grouped(12345), "12,345");
    EXPECT_EQ(grouped(std::numeric_limits<uint64_t>::max()), "18,446,744,073,709,551,615");
}

TEST(Duration, IsShort) {
    EXPECT_EQ(duration(0), "0 s");
    EXPECT_EQ(duration(0.254), "0.25 s");
    EXPECT_EQ(duration(3), "3 s");
    EXPECT_EQ(duration(3.24), "3.2 s");
    EXPECT_EQ(duration(9.96), "10 s");
    EXPECT_EQ(duration(59.6), "1 min 00 s");
    EXPECT_EQ(duration(125), "2 min 05 s");
    EXPECT_EQ(duration(3720), "1 h 02 min");
    EXPECT_EQ(duration(-1), "unknown");
    EXPECT_EQ(duration(std::numeric_limits<double>::infinity()), "unknown");
}

TEST(ParseBytes, TakesDecimalAndBinaryUnits) {
    EXPECT_EQ(parse_bytes("0"), 0u);
    EXPECT_EQ(parse_bytes("4096"), 4096u);
    EXPECT_EQ(parse_bytes("820 B"), 820u);
    EXPECT_EQ(parse_bytes("64MiB"), 64u << 20);
    EXPECT_EQ(parse_bytes("5GB"), 5'000'000'000u);
    EXPECT_EQ(parse_bytes("1.5 GiB"), 1536u << 20);
    EXPECT_EQ(parse_bytes("2TiB"), uint64_t{2} << 40);
    EXPECT_EQ(parse_bytes("0.1KiB"), 102u);
    EXPECT_EQ(parse_bytes("18446744073709551615"), std::numeric_limits<uint64_t>::max());
}

TEST(ParseBytes, RefusesEverythingElse) {
    for (const char* text : {"",
                             " ",
                             "MiB",
                             "-1",
                             "+1",
                             "64 mib",
                             "64MiB ",
                             " 64MiB",
                             "64  MiB",
                             "1.5",
                             "1.5B",
                             "1.",
                             ".5GiB",
                             "1.GiB",
                             "0x10",
                             "1e3",
                             "1,000",
                             "5G",
                             "5Gi",
                             "18446744073709551616",
                             "17179869184GiB",
                             "1.1234567GiB",
                             "1 ",
                             "1.5.5MB"})
        EXPECT_EQ(parse_bytes(text), std::nullopt) << text;
}

TEST(ParseBytes, ReadsWhatBytesPrints) {
    for (const uint64_t n :
         {uint64_t{1}, uint64_t{1000}, uint64_t{64} << 20, uint64_t{3} << 39, uint64_t{5} << 30})
        EXPECT_EQ(parse_bytes(bytes(n)), n) << bytes(n);
}

TEST(Split, IsUndoneByJoin) {
    EXPECT_EQ(split("a:b::c", ':'), (std::vector<std::string>{"a", "b", "", "c"}));
    EXPECT_EQ(split("a,b,", ','), (std::vector<std::string>{"a", "b", ""}));
    EXPECT_EQ(split(",", ','), (std::vector<std::string>{"", ""}));
    EXPECT_TRUE(split("", ',').empty());
    EXPECT_EQ(join(split("a:b::c", ':'), ":"), "a:b::c");
    EXPECT_EQ(join({}, ", "), "");
}

TEST(TomlQuoted, EscapesWhatTomlDemands) {
    EXPECT_EQ(toml_quoted("plain é"), "\"plain é\"");
    EXPECT_EQ(toml_quoted("a\"b\\c\n\t\x01\x7f"), R"("a\"b\\c\n\t\u0001\u007F")");
    EXPECT_EQ(toml_quoted("\xFFz"), "\"\uFFFDz\"");
}

}  // namespace
}  // namespace halftone::text
