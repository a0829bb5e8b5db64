#include <gtest/gtest.h>
#include <random>

#include "tests/unit/pipeline/pipelines.hpp"

namespace halftone {
namespace {

// Reads the text; anything but a pipeline or a usage error with a place in it is a failure.
bool is_read(const std::string& toml, const std::vector<Override>& overrides = {}) {
    try {
        const Pipeline p = parsed(toml, overrides);
        const std::string printed = print_pipeline(p);
        EXPECT_EQ(fingerprint(parsed(printed)), fingerprint(p)) << toml << "\nprinted as\n" << printed;
        return true;
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage) << error.what();
        EXPECT_FALSE(error.where().empty()) << error.what();
        EXPECT_FALSE(error.problem().empty());
        return false;
    }
}

const std::string seed_text = R"([input]
path = "in.safetensors"
[output]
path = "out.safetensors"
shard_size = "5GiB"
kept = "bf16"
[model]
profile = ["flux", "t5xxl"]
[quantize]
format = "fp8"   # a comment
scaling = 'row'
ratio = 0.25
embeddings = "keep"
[format."acme.int4"]
block = 32
names = ["a", "b"]
[[rule]]
match = ["*.mod.*", "img_[a-z]n.?eight"]
action = "keep"
[[rule]]
regex = '''blocks\.\d+'''
format = "acme.int4"
block = 64
reason = """why
not"""
[fallback]
format = "int8"
[run]
threads = 2
memory = "64MiB"
[report]
json = "r.json"
)";

TEST(PipelineFuzz, MutationsAreReadOrRefused) {
    std::mt19937 random(3);
    const std::vector<std::string> splices = {"[",
                                              "]",
                                              "[[",
                                              "\"",
                                              "'",
                                              "\"\"\"",
                                              "'''",
                                              "=",
                                              ".",
                                              "\n",
                                              "{",
                                              "}",
                                              ",",
                                              "#",
                                              "\\",
                                              "\xFF",
                                              "\0",
                                              "ж",
                                              "1",
                                              "-",
                                              "nan",
                                              "true",
                                              "[rule]",
                                              "keep",
                                              "none",
                                              "auto",
                                              "[run]",
                                              "format",
                                              "\\u0",
                                              "1e999",
                                              "0x",
                                              "_",
                                              " = 1\n",
                                              "rule",
                                              "fp8.x",
                                              "0.5.5",
                                              "{}",
                                              "[[[[[[",
                                              "a.b.c.",
                                              "\r",
                                              "\xEF\xBB\xBF",
                                              "1979-05-27",
                                              "\x7F"};
    int accepted = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text = seed_text;
        for (size_t edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) {
            const size_t at = random() % text.size(), length = random() % 12;
            switch (random() % 5) {
                case 0:
                    text.erase(at, length);
                    break;
                case 1:
                    text[at] = static_cast<char>(random());
                    break;
                case 2:
                    text.insert(at, splices[random() % splices.size()]);
                    break;
                case 3:
                    text.insert(at, text.substr(random() % text.size(), length * 4));
                    break;
                default:
                    text.resize(at);
            }
        }
        accepted += is_read(text);
        ASSERT_FALSE(HasFailure()) << text;
    }
    EXPECT_GT(accepted, 100);  // or the mutations are too wild to reach the checks
}

TEST(PipelineFuzz, OverridesAreReadOrRefused) {
    std::mt19937 random(4);
    const std::vector<std::string> parts = {"run",  "rule", "format", "quantize", "threads", "match", "1",
                                            "2",    "fp8",  "\"",     "'",        "",        "name",  "x",
                                            "acme", "0",    "model",  "profile",  "action",  "input", "path"};
    const std::vector<std::string> values = {"1",     "true", "\"x\"",  "[]",  "[\"a\"]", "{a=1}",
                                             "fp8",   "keep", "remove", "",    "\n",      "nan",
                                             "64MiB", "=",    "[[[[",   "\xFF"};
    for (int round = 0; round < 5000; ++round) {
        std::vector<Override> overrides;
        for (size_t n = 1 + random() % 3; n > 0; --n) {
            std::string key = parts[random() % parts.size()];
            for (size_t more = random() % 4; more > 0; --more)
                key += "." + parts[random() % parts.size()];
            overrides.push_back({key, values[random() % values.size()]});
        }
        is_read(seed_text, overrides);
        ASSERT_FALSE(HasFailure()) << overrides[0].key;
    }
}

TEST(PipelineFuzz, DepthIsRefusedBeforeItCosts) {
    const size_t deep = 1000000;
    std::string dotted = "a";
    for (size_t i = 0; i < deep; ++i)
        dotted += ".a";
    EXPECT_FALSE(is_read(dotted + " = 1"));
    EXPECT_FALSE(is_read("[" + dotted + "]"));
    EXPECT_FALSE(is_read("x = " + std::string(deep, '[')));
    EXPECT_FALSE(is_read("x = " + std::string(deep, '{')));
    std::string tables = "x = ";
    for (size_t i = 0; i < deep; ++i)
        tables += "{a=";
    EXPECT_FALSE(is_read(tables));
    EXPECT_FALSE(is_read(std::string(deep, '"')));
    EXPECT_FALSE(is_read("x = \"" + std::string(deep, '\\')));
}

TEST(PipelineFuzz, DotsAndBracketsInTextsAndCommentsDoNotCount) {
    const std::string noise(100, '.'), brackets(100, '[');
    EXPECT_TRUE(is_read(least + "a = \"" + noise + brackets + "\\\"" + brackets + "\" # " + noise + brackets +
                        "\nb = '" + noise + "\\'\nc = \"\"\"" + brackets + "\n\"" + noise +
                        "\"\"\"\nd = '''" + brackets + "\n'''\n"));
}

}  // namespace
}  // namespace halftone
