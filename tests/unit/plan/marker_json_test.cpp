// Markers as loaders in Python read them.

#include "core/plan/marker_json.hpp"

#include <gtest/gtest.h>

#include <halftone/toolbox/python_values.hpp>

namespace halftone {
namespace {

MarkerJson read(std::string_view text) {
    return read_marker_json(std::as_bytes(std::span(text)));
}

std::string in_utf16(std::string_view text, bool big_endian) {
    std::string result;
    for (const char c : text) {
        if (big_endian) result += '\0';
        result += c;
        if (!big_endian) result += '\0';
    }
    return result;
}

TEST(MarkerJson, IsReadInEveryEncodingThatPythonKnows) {
    const std::string text = R"({"format": "x"})";
    using namespace std::string_literals;
    for (const std::string& bytes :
         {text, " \n" + text + "\r\n", "\xEF\xBB\xBF" + text, in_utf16(text, true), in_utf16(text, false),
          "\xFF\xFE"s + in_utf16(text, false), "\xFE\xFF"s + in_utf16(text, true)})
        EXPECT_EQ(read(bytes).value["format"], "x") << read(bytes).problem;
    EXPECT_EQ(read(R"({"format": "a", "format": "b", "n": NaN, "i": -Infinity})").value["format"], "b");
    EXPECT_EQ(read(R"({"format": "a NaN"})").value["format"], "a NaN");
}

TEST(MarkerJson, WhatPythonRefusesIsTold) {
    using namespace std::string_literals;
    EXPECT_EQ(read("").problem, "its marker is empty");
    EXPECT_EQ(read("\0\0\0\0"s).problem, "its marker is empty");
    EXPECT_EQ(read("{}\0"s).problem, "its marker ends in NUL bytes, which loaders' JSON readers refuse");
    EXPECT_EQ(read("{\"a\": \"\xFF\"}").problem, "its marker is no JSON");
    EXPECT_EQ(read("{\"a\": 1,}").problem, "its marker is no JSON");
    EXPECT_EQ(read("[1]").problem, "its marker is array, not an object");
    EXPECT_EQ(read("null").problem, "its marker is null, not an object");
}

TEST(MarkerJson, WhatIsNestedWithoutEndIsToldAndNotRead) {
    const auto nested = [](size_t levels) {
        return R"({"format": "x", "more": )" + std::string(levels, '[') + std::string(levels, ']') + "}";
    };
    EXPECT_EQ(read(nested(deepest_json - 1)).value["format"], "x");
    EXPECT_EQ(read(nested(deepest_json)).problem, "its marker is nested too deeply");
    EXPECT_EQ(read(nested(2'000'000)).problem, "its marker is nested too deeply");
    EXPECT_EQ(read(R"({"format": "x", "more": ")" + std::string(1000, '[') + "\"}").value["format"], "x");
}

TEST(MarkerJson, NumbersTooLargeForADoubleAreInfinite) {
    for (const std::string number : {"1e999", "-1E+999", "1.5e309", "NaN", "-Infinity"}) {
        const SortedJson value = read("{\"a\":" + number + "}").value;
        ASSERT_TRUE(value.is_object()) << number;
        EXPECT_TRUE(is_true(value["a"])) << number;
        EXPECT_EQ(as_whole(value["a"]), std::nullopt) << number;
    }
    EXPECT_TRUE(is_true(read("{\"a\": 1" + std::string(400, '0') + "}").value["a"]));
    EXPECT_FALSE(is_true(read("{\"a\": 1e-999}").value["a"]));
    EXPECT_EQ(read(R"({"a": "1e999 NaN \" Infinity"})").value["a"], "1e999 NaN \" Infinity");
    const std::string longest = "1" + std::string(5000, '0');
    for (const char* number : {"1e999x", "1.5NaN", "-NaN", "1e", "NaN1", longest.c_str()})
        EXPECT_EQ(read(std::string("{\"a\":") + number + "}").problem, "its marker is no JSON") << number;
}

// Formats read the same markers with the toolbox.
TEST(MarkerJson, NumbersAreTheSameToFormatsAndToLoaders) {
    const std::pair<const char*, std::optional<int64_t>> table[] = {{"256", 256},
                                                                    {"256.9", 256},
                                                                    {"-3.7", -3},
                                                                    {"2.56e2", 256},
                                                                    {"true", 1},
                                                                    {"false", 0},
                                                                    {R"("256")", 256},
                                                                    {R"(" +256 ")", 256},
                                                                    {R"("2_56")", 256},
                                                                    {R"("256\u000b")", 256},
                                                                    {R"("\t256\n")", 256},
                                                                    {R"("256\f")", 256},
                                                                    {R"("\u003256")", 256},
                                                                    {R"("256\u001c")", {}},
                                                                    {R"("256\u0000")", {}},
                                                                    {R"("_256")", {}},
                                                                    {R"("256_")", {}},
                                                                    {R"("2__56")", {}},
                                                                    {R"("+ 5")", {}},
                                                                    {R"("256.0")", {}},
                                                                    {R"("0x10")", {}},
                                                                    {R"("x")", {}},
                                                                    {R"("")", {}},
                                                                    {R"("\\u0032")", {}},
                                                                    {"null", {}},
                                                                    {"[256]", {}},
                                                                    {"{}", {}},
                                                                    {"1e30", {}},
                                                                    {"9007199254740993", 9007199254740993},
                                                                    {"9e15", 9000000000000000},
                                                                    {"18446744073709551615", {}}};
    for (const auto& [json, whole] : table) {
        EXPECT_EQ(toolbox::python_int(json), whole) << json;
        EXPECT_EQ(as_whole(SortedJson::parse(json)), whole) << json;
        EXPECT_EQ(toolbox::python_truth(json), is_true(SortedJson::parse(json))) << json;
    }
}

TEST(MarkerJson, TruthIsPythons) {
    for (const char* text : {"true", "1", "-0.5", R"("false")", R"("0")", "[0]", R"({"a": 1})"})
        EXPECT_TRUE(is_true(SortedJson::parse(text))) << text;
    for (const char* text : {"false", "0", "0.0", R"("")", "null", "[]", "{}"})
        EXPECT_FALSE(is_true(SortedJson::parse(text))) << text;
}

TEST(MarkerJson, WholeNumbersAreWhatIntMakesOfThem) {
    for (const char* text : {"256", "256.9", R"("256")", R"(" +256 ")"})
        EXPECT_EQ(as_whole(SortedJson::parse(text)), 256) << text;
    EXPECT_EQ(as_whole(SortedJson::parse("true")), 1);
    EXPECT_EQ(as_whole(SortedJson::parse("-3.7")), -3);
    for (const char* text : {"null", R"("x")", R"("256.0")", R"("")", "[256]", "1e30"})
        EXPECT_EQ(as_whole(SortedJson::parse(text)), std::nullopt) << text;
}

TEST(MarkerJson, TheFirstKeyThatIsThereCounts) {
    const SortedJson marker = SortedJson::parse(R"({"a": null, "params": {"a": 1, "b": 2}})");
    EXPECT_TRUE(first_of(marker, {"a", "params.a"})->is_null());
    EXPECT_EQ(*first_of(marker, {"b", "params.b"}), 2);
    EXPECT_EQ(first_of(marker, {"c", "params.c"}), nullptr);
    EXPECT_EQ(first_of(SortedJson::parse(R"({"params": [1]})"), {"params.a"}), nullptr);
}

}  // namespace
}  // namespace halftone
