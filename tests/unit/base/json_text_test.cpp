// JSON that files bring, however deeply it is nested.

#include "core/base/json_text.hpp"

#include <gtest/gtest.h>
#include <string>

namespace halftone {
namespace {

std::string nested(size_t levels, const std::string& open = "[", const std::string& close = "]") {
    std::string text;
    for (size_t i = 0; i < levels; ++i)
        text += open;
    text += "0";
    for (size_t i = 0; i < levels; ++i)
        text += close;
    return text;
}

TEST(JsonText, IsReadDownToALevelAndNotBelow) {
    for (const auto& [open, close] :
         {std::pair("[", "]"), std::pair("{\"a\": ", "}"), std::pair("[0, ", "]")}) {
        EXPECT_FALSE(is_nested_too_deeply(nested(deepest_json, open, close)));
        EXPECT_FALSE(parse_json(nested(deepest_json, open, close)).is_discarded());
        EXPECT_TRUE(is_nested_too_deeply(nested(deepest_json + 1, open, close)));
        EXPECT_TRUE(parse_json(nested(deepest_json + 1, open, close)).is_discarded());
        EXPECT_TRUE(parse_sorted_json(nested(3'000'000, open, close)).is_discarded());
    }
}

TEST(JsonText, MembersKeepTheirOrderAndTheLastOfEqualOnesCounts) {
    const std::string text =
        R"({"b": [1, -2, 0.5, null, true, "x", {}, []], "a": {"d": 1, "c": {"e": 2}, "d": 3}, "b2": 0})";
    EXPECT_EQ(parse_json(text).dump(),
              R"({"b":[1,-2,0.5,null,true,"x",{},[]],"a":{"d":3,"c":{"e":2}},"b2":0})");
    EXPECT_EQ(parse_json(text), Json::parse(text));
    for (const char* broken : {"", "{", "[1,]", "{\"a\": }", "1 2", "{} x", "\"\xFF\"", "1e999"})
        EXPECT_TRUE(parse_json(broken).is_discarded()) << broken;
    EXPECT_EQ(parse_json("7"), 7);
}

TEST(JsonText, BracketsInTextsAreNoLevels) {
    const std::string brackets(2 * deepest_json, '[');
    for (const std::string& text :
         {"\"" + brackets + "\"", "[\"\\\"" + brackets + "\"]", "{\"" + brackets + "\\\\\": 1}"}) {
        EXPECT_FALSE(is_nested_too_deeply(text)) << text;
        EXPECT_FALSE(parse_json(text).is_discarded()) << text;
    }
    std::string many = "[";
    for (int i = 0; i < 2 * deepest_json; ++i)
        many += "[0],";
    EXPECT_FALSE(parse_json(many + "0]").is_discarded());
}

// A parser in Python fails at whatever comes first.
TEST(JsonText, WhatIsNoJsonBeforeItGetsDeepIsNotTooDeep) {
    const std::string brackets(2 * deepest_json, '[');
    EXPECT_FALSE(is_nested_too_deeply("no JSON " + brackets));
    EXPECT_FALSE(is_nested_too_deeply("[0,, " + brackets));
    EXPECT_TRUE(is_nested_too_deeply(brackets));
    EXPECT_TRUE(is_nested_too_deeply("{\"layers\": {\"a\": " + brackets));
}

}  // namespace
}  // namespace halftone
