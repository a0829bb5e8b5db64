#include "core/pipeline/glob.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <random>
#include <string>

namespace halftone {
namespace {

TEST(Glob, CoversTheWholeName) {
    EXPECT_TRUE(glob_matches("img_in.weight", "img_in.weight"));
    EXPECT_FALSE(glob_matches("img_in", "img_in.weight"));
    EXPECT_FALSE(glob_matches("weight", "img_in.weight"));
    EXPECT_TRUE(glob_matches("", ""));
    EXPECT_FALSE(glob_matches("", "a"));
    EXPECT_FALSE(glob_matches("a", ""));
}

TEST(Glob, StarCrossesDots) {
    EXPECT_TRUE(glob_matches("*", ""));
    EXPECT_TRUE(glob_matches("*", "double_blocks.0.img_attn.proj.weight"));
    EXPECT_TRUE(glob_matches("double_blocks.*.weight", "double_blocks.0.img_attn.proj.weight"));
    EXPECT_TRUE(glob_matches("*attn*", "double_blocks.0.img_attn.proj.weight"));
    EXPECT_FALSE(glob_matches("*.attn*", "double_blocks.0.img_attn.proj.weight"));
    EXPECT_TRUE(glob_matches("**a**", "a"));
    EXPECT_TRUE(glob_matches("*ab", "aab"));
    EXPECT_FALSE(glob_matches("*ab*ab", "xab"));
}

TEST(Glob, QuestionMarkIsOneCharacterNotOneByte) {
    EXPECT_TRUE(glob_matches("single_blocks.??.linear1", "single_blocks.37.linear1"));
    EXPECT_FALSE(glob_matches("double_blocks.?.*", "double_blocks.10.x"));
    EXPECT_TRUE(glob_matches("?", "ä"));
    EXPECT_TRUE(glob_matches("gr??e", "größe"));
    EXPECT_FALSE(glob_matches("?", ""));
}

TEST(Glob, SetsHoldCharactersAndRanges) {
    EXPECT_TRUE(glob_matches("b.[01].w", "b.1.w"));
    EXPECT_FALSE(glob_matches("b.[01].w", "b.2.w"));
    EXPECT_TRUE(glob_matches("b.3[0-7].w", "b.35.w"));
    EXPECT_FALSE(glob_matches("b.3[0-7].w", "b.38.w"));
    EXPECT_TRUE(glob_matches("[!0-9]", "x"));
    EXPECT_FALSE(glob_matches("[!0-9]", "5"));
    EXPECT_FALSE(glob_matches("[!0-9]", ""));
    EXPECT_TRUE(glob_matches("[]]", "]"));
    EXPECT_TRUE(glob_matches("[!]]", "x"));
    EXPECT_TRUE(glob_matches("[[]", "["));
    EXPECT_TRUE(glob_matches("[*]", "*"));
    EXPECT_FALSE(glob_matches("[*]", "x"));
    EXPECT_TRUE(glob_matches("[a-]", "-"));
    EXPECT_TRUE(glob_matches("[а-я]", "ж"));
}

TEST(Glob, BracketThatIsNeverClosedStandsForItself) {
    EXPECT_TRUE(glob_matches("a[b", "a[b"));
    EXPECT_FALSE(glob_matches("a[b", "ab"));
    EXPECT_TRUE(glob_matches("[", "["));
    EXPECT_TRUE(glob_matches("[!", "[!"));
}

TEST(Glob, BrokenBytesMatchOnlyThemselves) {
    EXPECT_TRUE(glob_matches("a\xFF", "a\xFF"));
    EXPECT_FALSE(glob_matches("ÿ", "\xFF"));
    EXPECT_TRUE(glob_matches("?", "\xFF"));
}

TEST(Glob, ManyStarsAreNoTrap) {
    std::string glob, name(20000, 'a');
    for (int i = 0; i < 200; ++i)
        glob += "*a";
    glob += "b";
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(glob_matches(glob, name));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

// What a glob means, without any thought of speed.
bool matches_slowly(std::string_view glob, std::string_view name) {
    if (glob.empty()) return name.empty();
    if (glob[0] == '*') {
        for (size_t i = 0; i <= name.size(); ++i)
            if (matches_slowly(glob.substr(1), name.substr(i))) return true;
        return false;
    }
    if (name.empty()) return false;
    if (glob.starts_with("[ab]"))
        return (name[0] == 'a' || name[0] == 'b') && matches_slowly(glob.substr(4), name.substr(1));
    if (glob.starts_with("[!a]")) return name[0] != 'a' && matches_slowly(glob.substr(4), name.substr(1));
    return (glob[0] == '?' || glob[0] == name[0]) && matches_slowly(glob.substr(1), name.substr(1));
}

TEST(Glob, AgreesWithItsDefinitionOnRandomPatterns) {
    std::mt19937 random(7);
    const std::vector<std::string> pieces = {"*", "?", "a", "b", "c", "[ab]", "[!a]"};
    size_t matched = 0;
    for (int round = 0; round < 50000; ++round) {
        std::string glob, name;
        for (size_t n = random() % 7; n > 0; --n)
            glob += pieces[random() % pieces.size()];
        for (size_t n = random() % 8; n > 0; --n)
            name += static_cast<char>('a' + random() % 3);
        const bool expected = matches_slowly(glob, name);
        ASSERT_EQ(glob_matches(glob, name), expected) << glob << " over " << name;
        matched += expected;
    }
    EXPECT_GT(matched, 5000u);
}

TEST(Glob, NamesWhatItsWriterCannotHaveMeant) {
    EXPECT_FALSE(glob_problem("double_blocks.*.[!a-c]?.weight"));
    EXPECT_FALSE(glob_problem("[]]"));
    EXPECT_FALSE(glob_problem("[{\\}]"));
    EXPECT_NE(glob_problem("a[bc").value_or("").find("never closed"), std::string::npos);
    EXPECT_NE(glob_problem("[9-0]").value_or("").find("backwards"), std::string::npos);
    EXPECT_NE(glob_problem("*.{q,k}.weight").value_or("").find("list"), std::string::npos);
    EXPECT_NE(glob_problem("blocks\\.0").value_or("").find("regex"), std::string::npos);
}

}  // namespace
}  // namespace halftone
