// Every malformed input ends a run the same way: exit code 3, the file and the reason named, nothing left
// behind.

#include <gtest/gtest.h>

#include "tests/cases/malformed/corpus.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

class MalformedRun : public testing::TestWithParam<malformed::Case> {};

TEST_P(MalformedRun, IsRefused) {
    const malformed::Case& one = GetParam();
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "in");
    const std::filesystem::path input = one.write(folder / "in");
    write_text(folder / "p.toml", "[quantize]\nformat = \"fp8\"\n");
    const Finished finished = halftone({"run", (folder / "p.toml").string(), "-i", input.string(), "-o",
                                        (folder / "out.safetensors").string()});
    EXPECT_EQ(finished.code, 3) << finished.err;
    EXPECT_NE(finished.err.find(one.expected), std::string::npos) << finished.err;
    EXPECT_NE(finished.err.find(std::filesystem::path(one.named).filename().string()), std::string::npos)
        << finished.err;
    EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"in", "p.toml"}));
}

std::string test_name(const testing::TestParamInfo<malformed::Case>& info) {
    std::string name;
    for (char c : info.param.name)
        name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return name;
}

INSTANTIATE_TEST_SUITE_P(Corpus, MalformedRun, testing::ValuesIn(malformed::corpus()), test_name);

TEST(MalformedCorpus, IsLargeEnough) {
    EXPECT_GE(malformed::corpus().size(), 40u);
}

}  // namespace
}  // namespace halftone::test
