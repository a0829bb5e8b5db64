// Markers as loaders in Python read them.

#include "core/plan/marker_json.hpp"

#include <gtest/gtest.h>

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

TEST(MarkerJson, TruthIsPythons) {
    for (const char* text : {"true", "1", "-0.5", R"("false")", R"("0")", "[0]", R"({"a": 1})"})
        EXPECT_TRUE(is_true(Json::parse(text))) << text;
    for (const char* text : {"false", "0", "0.0", R"("")", "null", "[]", "{}"})
        EXPECT_FALSE(is_true(Json::parse(text))) << text;
}

TEST(MarkerJson, WholeNumbersAreWhatIntMakesOfThem) {
    for (const char* text : {"256", "256.9", R"("256")", R"(" +256 ")"})
        EXPECT_EQ(as_whole(Json::parse(text)), 256) << text;
    EXPECT_EQ(as_whole(Json::parse("true")), 1);
    EXPECT_EQ(as_whole(Json::parse("-3.7")), -3);
    for (const char* text : {"null", R"("x")", R"("256.0")", R"("")", "[256]", "1e30"})
        EXPECT_EQ(as_whole(Json::parse(text)), std::nullopt) << text;
}

TEST(MarkerJson, TheFirstKeyThatIsThereCounts) {
    const Json marker = Json::parse(R"({"a": null, "params": {"a": 1, "b": 2}})");
    EXPECT_TRUE(first_of(marker, {"a", "params.a"})->is_null());
    EXPECT_EQ(*first_of(marker, {"b", "params.b"}), 2);
    EXPECT_EQ(first_of(marker, {"c", "params.c"}), nullptr);
    EXPECT_EQ(first_of(Json::parse(R"({"params": [1]})"), {"params.a"}), nullptr);
}

}  // namespace
}  // namespace halftone
