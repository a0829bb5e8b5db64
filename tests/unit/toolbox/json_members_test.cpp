#include <gtest/gtest.h>
#include <string>

#include <halftone/toolbox/json_members.hpp>

namespace halftone::toolbox {
namespace {

TEST(JsonMembers, ReadsTextsFlagsWholesAndObjects) {
    const JsonMembers members(
        R"( {"format": "int8_blockwise", "group_size":128, "params" : {"group_size": -64},
        "convrot": true, "per_row":false, "list": [1, {"x": []}, "a,]}"], "none": null, "real": 1.5e-3} )");
    EXPECT_EQ("int8_blockwise", members.text("format"));
    EXPECT_EQ(128, members.whole("group_size"));
    EXPECT_EQ(true, members.flag("convrot"));
    EXPECT_EQ(false, members.flag("per_row"));
    EXPECT_EQ(-64, members.object("params")->whole("group_size"));
    EXPECT_TRUE(members.has("none"));
}

TEST(JsonMembers, HasNothingForMissingMembersAndOtherTypes) {
    const JsonMembers members(
        R"({"format": 3, "real": 1.5, "flag": "true", "params": [], "huge": 99999999999999999999})");
    EXPECT_FALSE(members.text("format"));
    EXPECT_FALSE(members.whole("real"));
    EXPECT_FALSE(members.flag("flag"));
    EXPECT_FALSE(members.object("params"));
    EXPECT_FALSE(members.whole("huge"));
    EXPECT_FALSE(members.has("missing"));
    EXPECT_FALSE(members.text("missing"));
}

TEST(JsonMembers, FindsOnlyWholeKeysOfTheRoot) {
    const JsonMembers members(
        R"({"inner": {"format": "wrong"}, "a_format": "wrong", "text": "\"format\": \"wrong\""})");
    EXPECT_FALSE(members.has("format"));
}

TEST(JsonMembers, TheLastOfEqualKeysCounts) {
    EXPECT_EQ("second", JsonMembers(R"({"format": "first", "format": "second"})").text("format"));
}

TEST(JsonMembers, IgnoresNulsAtTheEnd) {
    EXPECT_EQ("x", JsonMembers(std::string_view("{\"format\": \"x\"}\0\0", 17)).text("format"));
}

TEST(JsonMembers, RefusesWhatIsNoObject) {
    for (const char* text :
         {"", "[]", "3", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1", "{\"a\" 1}", "{a:1}",
          "{\"a\":1}x", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":[1}", "{\"a\":[1,]}", "{\"a\":{]}"})
        EXPECT_THROW(JsonMembers{text}, Refused) << text;
}

TEST(JsonMembers, RefusesEndlessDepthInsteadOfCrashing) {
    std::string deep = "{\"a\":";
    for (int i = 0; i < 200000; ++i)
        deep += "[";
    EXPECT_THROW(JsonMembers{deep}, Refused);
}

}  // namespace
}  // namespace halftone::toolbox
