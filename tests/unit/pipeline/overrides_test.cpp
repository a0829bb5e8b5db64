#include <gtest/gtest.h>

#include "tests/unit/pipeline/pipelines.hpp"

namespace halftone {
namespace {

const std::string with_rules =
    least +
    "scaling = \"row\"\n"
    "[[rule]]\nmatch = \"a\"\naction = \"keep\"\n"
    "[[rule]]\nname = \"second one\"\nmatch = \"b\"\nformat = \"int8\"\nblock = 64\n";

TEST(Overrides, ReplaceWhatTheFileSays) {
    const Pipeline p = parsed(least + "[run]\nthreads = 1\n", {{"run.threads", "2"},
                                                               {"quantize.on_refusal", "error"},
                                                               {"output.replace", "true"},
                                                               {"output.shard_size", "5GiB"},
                                                               {"run.memory", "\"1GiB\""}});
    EXPECT_EQ(p.run.threads, 2u);
    EXPECT_EQ(p.quantize.on_refusal, OnRefusal::error);
    EXPECT_TRUE(p.output.replace);
    EXPECT_EQ(p.output.shard_size, uint64_t{5} << 30);
    EXPECT_EQ(p.run.memory, uint64_t{1} << 30);
}

TEST(Overrides, SupplyWhatTheFileLacks) {
    const Pipeline p = parsed("", {{"input.path", "i", "-i", true},
                                   {"output.path", "o", "-o", true},
                                   {"quantize.format", "fp8"},
                                   {"format.fp8.scaling", "row"},
                                   {"format.acme.int4.block", "32"},
                                   {"fallback.format", "acme.int4"},
                                   {"model.profile", R"(["flux", "t5xxl"])"}});
    EXPECT_EQ(p.input.path, "i");
    EXPECT_EQ(std::get<std::string>(p.quantize.treatment.format.options.at("scaling").value), "row");
    EXPECT_EQ(p.quantize.treatment.format.where, "--set quantize.format");
    EXPECT_EQ(std::get<int64_t>(p.fallback->format.options.at("block").value), 32);
    EXPECT_EQ(p.fallback->format.options.at("block").where, "--set format.acme.int4.block");
    EXPECT_EQ(p.model.profiles.size(), 2u);
}

TEST(Overrides, LaterOnesWin) {
    EXPECT_EQ(parsed(least, {{"run.threads", "2"}, {"run.threads", "3"}}).run.threads, 3u);
}

TEST(Overrides, AreTextWhereTheSchemaWantsText) {
    EXPECT_EQ(parsed(least, {{"output.path", "2024"}}).output.path, "2024");
    EXPECT_EQ(parsed(least, {{"output.path", "true"}}).output.path, "true");
    EXPECT_EQ(parsed(least, {{"output.path", "\"quoted\""}}).output.path, "quoted");
    EXPECT_EQ(parsed(least, {{"output.path", "\"quoted\"", "-o", true}}).output.path, "\"quoted\"");
    EXPECT_EQ(parsed(least, {{"output.path", "1\n[run]\nthreads=2"}}).output.path, "1\n[run]\nthreads=2");
}

TEST(Overrides, AreTomlForOptionsThatOnlyAPluginKnows) {
    const Pipeline p = parsed(least, {{"quantize.whole", "5"},
                                      {"quantize.real", "0.5"},
                                      {"quantize.flag", "true"},
                                      {"quantize.list", "[\"a\", \"b\"]"},
                                      {"quantize.word", "row"},
                                      {"quantize.size", "5GiB"},
                                      {"quantize.day", "2024-01-01"}});
    const GivenOptions& options = p.quantize.treatment.format.options;
    EXPECT_EQ(std::get<int64_t>(options.at("whole").value), 5);
    EXPECT_EQ(std::get<double>(options.at("real").value), 0.5);
    EXPECT_TRUE(std::get<bool>(options.at("flag").value));
    EXPECT_EQ(std::get<std::vector<std::string>>(options.at("list").value).size(), 2u);
    EXPECT_EQ(std::get<std::string>(options.at("word").value), "row");
    EXPECT_EQ(std::get<std::string>(options.at("size").value), "5GiB");
    EXPECT_EQ(std::get<std::string>(options.at("day").value), "2024-01-01");
}

TEST(Overrides, ReachRulesByNumberAndByName) {
    const Pipeline p = parsed(with_rules, {{"rule.1.match", "[\"x\", \"y\"]"},
                                           {"rule.second one.format", "nf4"},
                                           {"rule.\"second one\".reason", "why"}});
    EXPECT_EQ(p.rules[0].match, (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(p.rules[1].treatment.format.id, "nf4");
    EXPECT_EQ(p.rules[1].reason, "why");
}

TEST(Overrides, OfAFormatLeaveOutTheOptionsOfTheOldOne) {
    const Pipeline p = parsed(with_rules, {{"quantize.block", "32"}, {"quantize.format", "int8"}});
    const GivenOptions& options = p.quantize.treatment.format.options;
    ASSERT_EQ(options.size(), 1u);
    EXPECT_EQ(std::get<int64_t>(options.at("block").value), 32);
    ASSERT_EQ(p.warnings.size(), 1u);
    EXPECT_EQ(p.warnings[0], "--set quantize.format: leaves out what the file gives for 'fp8': scaling");

    EXPECT_EQ(parsed(with_rules, {{"quantize.format", "fp8"}}).quantize.treatment.format.options.size(), 1u);
    EXPECT_TRUE(parsed(with_rules, {{"quantize.format", "keep"}}).quantize.treatment.format.options.empty());
    EXPECT_FALSE(parsed(least + "[fallback]\nformat=\"int8\"\nx=1\noptimizer=\"none\"\n",
                        {{"fallback.format", "keep"}})
                     .fallback);
}

struct BadOverride {
    std::string key, value, where, fragment;
};

class OverrideMistake : public testing::TestWithParam<BadOverride> {};

TEST_P(OverrideMistake, IsRefusedByName) {
    const auto& [key, value, where, fragment] = GetParam();
    const std::optional<Error> error = refusal(with_rules, {{key, value}});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->where(), where.empty() ? "--set " + key : where) << error->problem();
    const std::string said = error->problem() + "\n" + error->advice();
    EXPECT_NE(said.find(fragment), std::string::npos) << said;
}

INSTANTIATE_TEST_SUITE_P(
    All, OverrideMistake,
    testing::Values(BadOverride{"threads", "2", "", "it belongs in [run]"},
                    BadOverride{"runn.threads", "2", "", "no section 'runn'; did you mean 'run'?"},
                    BadOverride{"run", "2", "", "SECTION.KEY=VALUE"},
                    BadOverride{"", "2", "", "no section ''"},
                    BadOverride{"run.threads.x", "2", "", "not of the form run.KEY"},
                    BadOverride{"run.thread", "2", "", "did you mean 'threads'?"},
                    BadOverride{"run.threads", "two", "", "expected an integer, but found the text \"two\""},
                    BadOverride{"run.memory", "1MiB", "", "must be at least 64 MiB"},
                    BadOverride{"output.kept", "bf61", "", "did you mean 'bf16'?"},
                    BadOverride{"format.fp8", "row", "", "format.ID.KEY"},
                    BadOverride{"rule.match", "row", "", "rule.NUMBER.KEY"},
                    BadOverride{"rule.0.match", "x", "", "by number from 1 to 2"},
                    BadOverride{"rule.3.match", "x", "", "there is no rule '3'"},
                    BadOverride{"rule.-1.match", "x", "", "there is no rule '-1'"},
                    BadOverride{"rule.99999999999999999999.match", "x", "", "there is no rule"},
                    BadOverride{"rule.third.match", "x", "", "rules go by name"},
                    BadOverride{"rule.1.format", "int8", "", "'format' has no meaning here"},
                    BadOverride{"rule.\"x.match", "x", "", "quote that is not closed"},
                    BadOverride{"format.FP8.x", "1", "", "did you mean 'fp8'?"},
                    BadOverride{"quantize.format", "FP8", "", "did you mean 'fp8'?"},
                    BadOverride{"quantize.x", "\xFF", "", "is not UTF-8"},
                    BadOverride{"quantize.x", "[1, 2]", "", "a list holds texts"},
                    BadOverride{"quantize.x", "{a = 1}", "", "has no table 'x'"},
                    BadOverride{"output.path", "in.safetensors", "", "the output is the input"},
                    BadOverride{"bias.seed", "3", "", "not available in this version"}));

TEST(Overrides, OfRulesThatAreNoListAreRefused) {
    EXPECT_TRUE(refusal("rule = 5\n" + least, {{"rule.1.match", "x"}}));
    EXPECT_TRUE(refusal("rule = [5]\n" + least, {{"rule.1.match", "x"}}));
    EXPECT_TRUE(refusal("run = 5\n" + least, {{"run.threads", "1"}}));
    EXPECT_TRUE(refusal("format = 5\n" + least, {{"format.fp8.x", "1"}}));
}

TEST(Overrides, OfADeepValueAreText) {
    EXPECT_EQ(parsed(least, {{"output.path", std::string(5000, '[')}}).output.path.string().size(), 5000u);
}

}  // namespace
}  // namespace halftone
