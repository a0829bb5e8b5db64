#include <gtest/gtest.h>
#include <ostream>
#include <set>

#include "core/base/error.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "tests/cases/malformed/corpus.hpp"
#include "tests/unit/base/temporary_folder.hpp"

namespace halftone {

namespace malformed {
void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}
}  // namespace malformed

namespace {

class Malformed : public testing::TestWithParam<malformed::Case> {};

TEST_P(Malformed, IsRefusedWithFileAndReason) {
    const malformed::Case& one = GetParam();
    const TemporaryFolder folder;
    const std::filesystem::path input = one.write(folder.path());
    try {
        Checkpoint::open(input);
        FAIL() << "was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::input);
        EXPECT_NE(std::string(error.what()).find(one.expected), std::string::npos) << error.what();
        EXPECT_EQ(error.where(), os::utf8(one.named.empty() ? folder.path() : folder.path() / one.named));
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        EXPECT_LT(error.problem().size(), 400U) << error.what();
    }
}

INSTANTIATE_TEST_SUITE_P(Corpus, Malformed, testing::ValuesIn(malformed::corpus()),
                         [](const auto& info) { return info.param.name; });

TEST(MalformedCorpus, HasManyCasesOfDifferentNames) {
    std::set<std::string> names;
    for (const malformed::Case& one : malformed::corpus())
        EXPECT_TRUE(names.insert(one.name).second) << one.name;
    EXPECT_GE(names.size(), 45U);
}

// Otherwise a case could be refused for another reason than its own.
TEST(MalformedCorpus, StartsFromFilesThatAreTaken) {
    const TemporaryFolder folder;
    const malformed::Case good = malformed::file("good", malformed::good(), "");
    EXPECT_EQ(Checkpoint::open(good.write(folder.path())).tensors().size(), 2U);
    const malformed::Case sharded = malformed::index(
        "sharded", malformed::weight_map({{"a", "a.safetensors"}, {"b", "b.safetensors"}}), "",
        {{"a.safetensors", malformed::several({{"a", 0}}, 8)},
         {"b.safetensors", malformed::several({{"b", 0}}, 8)}});
    EXPECT_EQ(Checkpoint::open(sharded.write(folder.path())).tensors().size(), 2U);
}

}  // namespace
}  // namespace halftone
