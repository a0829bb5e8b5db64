#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>
#include <stdexcept>

#include "core/base/text.hpp"
#include "tests/unit/pipeline/pipelines.hpp"

namespace halftone {
namespace {

// Random pipelines that a text could stand for.
class Generator {
  public:
    explicit Generator(uint32_t seed) : random_(seed) {}

    std::string toml() {
        std::string out = "[input]\npath = " + words("in") + "\n[output]\npath = " + words("out") + "\n";
        out += maybe("replace = true\n") + maybe("kept = \"bf16\"\n") + maybe("recipe = false\n");
        out += pick({"", "shard_size = 4096\n", "shard_size = \"5GiB\"\n", "shard_size = \"1.3MiB\"\n"});
        out += pick({"", "layout = \"legacy\"\n", "metadata = \"tensor\"\n", "metadata = \"header\"\n"});
        out += pick({"", "[model]\nprofile = \"none\"\n", "[model]\nprofile = [\"flux\", \"acme.x\"]\n",
                     "[profile.flux]\nkeep_txt = true\n"});
        out += "[quantize]\n" + choice() +
               pick({"", "full_precision_matrix_mult = true\n", "full_precision_matrix_mult = false\n"});
        out += pick({"", "embeddings = \"fp8\"\n", "embeddings = \"acme.int4\"\n"});
        out += maybe("on_refusal = \"error\"\n") + maybe("on_nonfinite = \"keep\"\n");
        out += maybe("[format.fp8]\n" + options()) + maybe("[format.\"acme.int4\"]\n" + options());
        out += maybe("[optimizer.adamw]\n" + options());
        for (size_t n = random_() % 4; n > 0; --n)
            out += rule(n);
        if (random_() % 2) out += "[fallback]\n" + choice();
        out +=
            pick({"", "[run]\nthreads = 3\nverify = true\n", "[run]\nmemory = \"1GiB\"\ndevice = \"cpu\"\n"});
        out += maybe("[report]\njson = " + words("json") + "\n");
        return out;
    }

  private:
    std::string rule(size_t number) {
        std::string out = "[[rule]]\n";
        const size_t patterns = random_() % 3;
        if (patterns != 1)
            out += "match = " + pick({words(""), fmt::format("[{}, {}]", words(""), words("a"))}) + "\n";
        if (patterns != 0)
            out += "regex = " + pick({words(""), fmt::format("[{}, '\\d+\\.x$']", words(""))}) + "\n";
        if (random_() % 2) out += "name = " + words(fmt::format("n{}", number)) + "\n";
        if (random_() % 2) out += "reason = " + words("") + "\n";
        switch (random_() % 4) {
            case 0:
                return out + "action = \"keep\"\n";
            case 1:
                return out + "action = \"remove\"\n";
            case 2:
                return out + "action = \"quantize\"\n" + options();
            default:
                return out + choice() + maybe("full_precision_matrix_mult = false\n");
        }
    }

    std::string choice() {
        return "format = " + pick({"\"fp8\"", "\"int8\"", "\"acme.int4\""}) + "\n" +
               pick({"", "", "optimizer = \"adamw\"\n", "optimizer = \"none\"\n"}) + options();
    }

    std::string options() {
        std::string out;
        for (const char* name : {"alpha", "beta", "gamma", "delta", "strange key"}) {
            if (random_() % 3) continue;
            out += text::toml_quoted(name) + " = " +
                   pick({"1", "-7", "9223372036854775807", "0.1", "1.0", "1e300", "inf", "-inf", "nan",
                         "true", "false", words(""), "[]", fmt::format("[{}, \"b\"]", words(""))}) +
                   "\n";
        }
        return out;
    }

    // A text of TOML with what needs escapes; never equal for different `start`s.
    std::string words(const std::string& start) {
        static const std::vector<std::string> pieces = {"a",  "*", "?", "[0-9]", "\"",   " ",    "ж", "\t",
                                                        "\n", "'", "=", "#",     "\x7F", "\x01", "😀", "."};
        std::string word = start + "w";
        for (size_t n = random_() % 6; n > 0; --n)
            word += pieces[random_() % pieces.size()];
        return text::toml_quoted(word);
    }

    std::string pick(const std::vector<std::string>& from) { return from[random_() % from.size()]; }
    std::string maybe(const std::string& line) { return random_() % 2 ? line : ""; }

    std::mt19937 random_;
};

TEST(PrintPipeline, ParsesBackToTheSame) {
    Generator generator(11);
    for (int round = 0; round < 3000; ++round) {
        const std::string toml = generator.toml();
        SCOPED_TRACE(toml);
        const Pipeline p = parsed(toml);
        const std::string printed = print_pipeline(p);
        const Pipeline again = parsed(printed);
        ASSERT_EQ(fingerprint(again), fingerprint(p)) << printed;
        ASSERT_EQ(print_pipeline(again), printed);
        ASSERT_TRUE(again.warnings.empty()) << printed << again.warnings[0];
    }
}

TEST(PrintPipeline, WithoutPathsIsARecipe) {
    Generator generator(12);
    for (int round = 0; round < 1000; ++round) {
        const std::string toml = generator.toml();
        SCOPED_TRACE(toml);
        Pipeline p = parsed(toml);
        const std::string recipe = print_pipeline(p, {.paths = false});
        for (const char* absent : {"path", "[run]", "[report]", "threads", "replace", "[input]"})
            ASSERT_EQ(recipe.find(fmt::format("\n{}", absent)), std::string::npos) << recipe;
        p.input.path = "i";
        p.output.path = "o";
        p.output.replace = false;
        p.run = {};
        p.report = {};
        const Pipeline again =
            parsed(recipe, {{"input.path", "i", "-i", true}, {"output.path", "o", "-o", true}});
        ASSERT_EQ(fingerprint(again), fingerprint(p)) << recipe;
    }
}

TEST(PrintPipeline, IsCanonical) {
    EXPECT_EQ(print_pipeline(parsed(R"(
run.memory = 1073741824
run.threads = 0
fallback = { format = "int8", block_size = 128 }
output = { path = "o", shard_size = "5120MiB", kept = "source" }
input.path = "i"
[[rule]]
format = "fp8"
match = ["*.mlp.*"]
element = "e5m2"
[[rule]]
action = "keep"
regex = '^head\.'
reason = "small"
[quantize]
scaling = "row"
format = "fp8"
)")),
              R"([input]
path = "i"

[output]
path = "o"
shard_size = "5GiB"

[quantize]
format = "fp8"
scaling = "row"

[[rule]]
match = "*.mlp.*"
format = "fp8"
element = "e5m2"

[[rule]]
regex = "^head\\."
action = "keep"
reason = "small"

[fallback]
format = "int8"
block_size = 128

[run]
memory = "1GiB"
)");
}

TEST(PrintPipeline, SaysSoIfNoTextStandsForIt) {
    Pipeline p = parsed(least + "scaling = \"row\"\n[[rule]]\nmatch = \"*\"\nformat = \"fp8\"\n");
    p.rules[0].treatment.format.options.clear();
    EXPECT_THROW(print_pipeline(p), std::logic_error);
    p = parsed(least + "scaling = \"row\"\nembeddings = \"fp8\"\n");
    p.quantize.embeddings.options.clear();
    EXPECT_THROW(print_pipeline(p), std::logic_error);
    p = parsed(least + "optimizer = \"a\"\n[[rule]]\nmatch = \"*\"\nformat = \"fp8\"\n");
    p.rules[0].treatment.optimizer.options["rate"] = {0.5, ""};
    EXPECT_THROW(print_pipeline(p), std::logic_error);
}

TEST(PrintPipeline, OfOneBuiltWithoutAFileIsPlain) {
    Pipeline p;
    p.input.path = "i";
    p.output.path = "o";
    p.quantize.treatment.format.id = "int8";
    p.quantize.treatment.format.options["block_size"] = {int64_t{64}, "--block_size"};
    EXPECT_EQ(print_pipeline(p),
              "[input]\npath = \"i\"\n\n[output]\npath = \"o\"\n\n[quantize]\n"
              "format = \"int8\"\nblock_size = 64\n");
}

}  // namespace
}  // namespace halftone
