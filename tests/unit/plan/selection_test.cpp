#include "core/plan/selection.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace halftone {
namespace {

Rule rule(std::vector<std::string> match, std::vector<std::string> regex) {
    Rule result;
    result.match = std::move(match);
    result.regex = std::move(regex);
    result.name = "rule 1";
    result.regex_where = "p.toml:3:1";
    return result;
}

TEST(RuleSet, TheFirstMatchDecides) {
    RuleSet rules({rule({"*.attn.*"}, {}), rule({}, {"blocks\\.\\d+"}), rule({"*"}, {})});
    EXPECT_EQ(rules.first_match("blocks.3.attn.qkv.weight"), 0);
    EXPECT_EQ(rules.first_match("blocks.3.mlp.weight"), 1);
    EXPECT_EQ(rules.first_match("head.weight"), 2);
}

TEST(RuleSet, TellsWhichRulesWereNeverUsed) {
    RuleSet rules({rule({"a*"}, {}), rule({"b*"}, {}), rule({}, {"^c"})});
    EXPECT_EQ(rules.first_match("bias"), 1);
    EXPECT_EQ(rules.unused(), (std::vector<size_t>{0, 2}));
}

TEST(RuleSet, RegularExpressionsKnowLookaroundAndNamedGroups) {
    RuleSet rules({rule({}, {"(?<!norm)\\.weight$", "(?<block>\\d+)\\.proj"})});
    EXPECT_EQ(rules.first_match("q_norm.weight"), -1);
    EXPECT_EQ(rules.first_match("attn.weight"), 0);
    EXPECT_EQ(rules.first_match("12.proj.bias"), 0);
}

TEST(RuleSet, ABrokenExpressionIsNamedWithItsPlace) {
    try {
        RuleSet({rule({}, {"(unclosed"})});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage);
        EXPECT_EQ(error.where(), "p.toml:3:1");
        EXPECT_NE(std::string(error.what()).find("(unclosed"), std::string::npos);
    }
}

TEST(RuleSet, AnExpressionThatExplodesIsAnErrorNotAHang) {
    RuleSet rules({rule({}, {"(a+)+b$"})});
    try {
        rules.first_match(std::string(5000, 'a'));  // either it copes, or it says so
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage);
    }
}

Tensor tensor(std::string name, ht_dtype dtype, Shape shape) {
    Tensor result;
    result.name = std::move(name);
    result.dtype = dtype;
    result.shape = std::move(shape);
    result.bytes = byte_count(dtype, result.shape).value();
    return result;
}

TEST(NotAMatrix, NamesWhatStandsInTheWay) {
    EXPECT_EQ(not_a_matrix(tensor("a.weight", HT_DTYPE_BF16, {4, 4})), "");
    EXPECT_EQ(not_a_matrix(tensor("a.bias", HT_DTYPE_BF16, {4})), "bias");
    EXPECT_EQ(not_a_matrix(tensor("scale_shift_table", HT_DTYPE_BF16, {4, 4})), "not a weight");
    EXPECT_EQ(not_a_matrix(tensor("a.weight", HT_DTYPE_BF16, {4})), "not a matrix (1-D)");
    EXPECT_EQ(not_a_matrix(tensor("a.weight", HT_DTYPE_BF16, {4, 4, 3, 3})), "not a matrix (4-D)");
    EXPECT_EQ(not_a_matrix(tensor("a.weight", HT_DTYPE_BF16, {0, 4})), "empty");
    EXPECT_EQ(not_a_matrix(tensor("a.weight", HT_DTYPE_I8, {4, 4})), "I8 of no known layout");
}

TEST(IsEmbedding, KnowsTablesFromProjections) {
    for (const char* name : {"shared.weight", "model.embed_tokens.weight", "transformer.wte.weight",
                             "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"})
        EXPECT_TRUE(is_embedding(name)) << name;
    for (const char* name : {"x_embedder.weight", "patch_embedding.weight", "time_embed.0.weight",
                             "shared_expert.weight", "img_in.weight"})
        EXPECT_FALSE(is_embedding(name)) << name;
}

}  // namespace
}  // namespace halftone
