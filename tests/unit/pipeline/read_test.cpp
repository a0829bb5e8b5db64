#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include "core/base/os/file.hpp"
#include "tests/unit/pipeline/pipelines.hpp"

namespace halftone {
namespace {

std::string text_option(const PluginChoice& choice, const std::string& name) {
    const auto found = choice.options.find(name);
    if (found == choice.options.end()) return "(none)";
    return std::get<std::string>(found->second.value);
}

TEST(ReadPipeline, GivesDefaultsToWhatIsNotSaid) {
    const Pipeline p = parsed(least);
    const Pipeline untouched;
    EXPECT_EQ(p.input.path, "in.safetensors");
    EXPECT_EQ(p.input.where, "t.toml:2:8");
    EXPECT_EQ(p.output.path, "out.safetensors");
    EXPECT_EQ(p.output.where, "t.toml:4:8");
    EXPECT_EQ(p.where, "t.toml");
    EXPECT_EQ(p.model.profiles, std::vector<std::string>{"auto"});
    EXPECT_EQ(p.quantize.treatment.format.id, "fp8");
    EXPECT_EQ(p.quantize.treatment.format.where, "t.toml:6:10");
    EXPECT_TRUE(p.quantize.treatment.format.options.empty());
    EXPECT_EQ(p.quantize.treatment.optimizer.id, "none");
    EXPECT_EQ(p.quantize.embeddings.id, "keep");
    EXPECT_TRUE(p.rules.empty());
    EXPECT_FALSE(p.fallback);
    EXPECT_TRUE(p.warnings.empty());

    // A pipeline built without a file means the same.
    EXPECT_EQ(p.output.replace, untouched.output.replace);
    EXPECT_EQ(p.output.kept, untouched.output.kept);
    EXPECT_EQ(p.output.shard_size, untouched.output.shard_size);
    EXPECT_EQ(p.output.layout, untouched.output.layout);
    EXPECT_EQ(p.output.metadata, untouched.output.metadata);
    EXPECT_EQ(p.output.recipe, untouched.output.recipe);
    EXPECT_EQ(p.model.profiles, untouched.model.profiles);
    EXPECT_EQ(p.quantize.on_refusal, untouched.quantize.on_refusal);
    EXPECT_EQ(p.quantize.on_nonfinite, untouched.quantize.on_nonfinite);
    EXPECT_EQ(p.run.threads, untouched.run.threads);
    EXPECT_EQ(p.run.memory, untouched.run.memory);
    EXPECT_EQ(p.run.device, untouched.run.device);
    EXPECT_EQ(p.report.json, untouched.report.json);
}

TEST(ReadPipeline, TakesEveryKeyThatIsAvailable) {
    const Pipeline p = parsed(R"(
[input]
path = "in"
[output]
path = "out"
replace = true
kept = "f16"
shard_size = "1.5GiB"
metadata = "header"
recipe = false
[model]
profile = ["flux", "acme.t5"]
[profile."acme.t5"]
strict = true
[quantize]
format = "int8"
embeddings = "fp8"
on_refusal = "error"
on_nonfinite = "keep"
full_precision_matrix_mult = true
block_size = 64
ratio = 0.5
names = ["a", "b"]
symmetric = false
[run]
threads = 3
memory = 134217728
device = "cpu"
verify = true
[report]
json = "report.json"
)");
    EXPECT_TRUE(p.output.replace);
    EXPECT_EQ(p.output.kept, Kept::f16);
    EXPECT_EQ(p.output.shard_size, uint64_t{3} << 29);
    EXPECT_EQ(p.output.metadata, MetadataForm::header);
    EXPECT_FALSE(p.output.recipe);
    EXPECT_EQ(p.model.profiles, (std::vector<std::string>{"flux", "acme.t5"}));
    EXPECT_TRUE(std::get<bool>(p.model.options.at("acme.t5").at("strict").value));
    EXPECT_EQ(p.quantize.embeddings.id, "fp8");
    EXPECT_EQ(p.quantize.on_refusal, OnRefusal::error);
    EXPECT_EQ(p.quantize.on_nonfinite, OnNonfinite::keep);
    EXPECT_EQ(p.quantize.treatment.full_precision_matrix_mult, true);
    const GivenOptions& options = p.quantize.treatment.format.options;
    ASSERT_EQ(options.size(), 4u);
    EXPECT_EQ(std::get<int64_t>(options.at("block_size").value), 64);
    EXPECT_EQ(options.at("block_size").where, "t.toml:21:14");
    EXPECT_EQ(std::get<double>(options.at("ratio").value), 0.5);
    EXPECT_EQ(std::get<std::vector<std::string>>(options.at("names").value),
              (std::vector<std::string>{"a", "b"}));
    EXPECT_FALSE(std::get<bool>(options.at("symmetric").value));
    EXPECT_EQ(p.run.threads, 3u);
    EXPECT_EQ(p.run.memory, uint64_t{1} << 27);
    EXPECT_EQ(p.run.device, "cpu");
    EXPECT_TRUE(p.run.verify);
    EXPECT_EQ(p.report.json, "report.json");
}

TEST(ReadPipeline, ToleratesKeysOfLaterVersionsThatSayTheDefault) {
    EXPECT_NO_THROW(parsed(least + "input_scale = \"auto\"\n[rounding]\nseed = 0\ntop_p = 0.2\n[bias]\n"
                                   "correction = \"none\"\n"));
}

TEST(ReadPipeline, AcceptsAByteOrderMarkAndWindowsLineEnds) {
    std::string windows = "\xEF\xBB\xBF";
    for (const char c : least)
        windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
    EXPECT_EQ(fingerprint(parsed(windows)), fingerprint(parsed(least)));
    EXPECT_EQ(parsed(windows).input.where, "t.toml:2:8");
    const std::optional<Error> error = refusal("\xEF\xBB\xBFinput = 1\r\n");
    EXPECT_EQ(error->where(), "t.toml:1:9");
}

TEST(ReadPipeline, ReadsRules) {
    const Pipeline p = parsed(least + R"(
[[rule]]
match = "*.mod.*"
action = "keep"
reason = "steers everything"
[[rule]]
name = "vision"
regex = ['^vision\.', 'visual']
match = ["*.vit.*"]
action = "remove"
[[rule]]
match = "*"
format = "int8"
)");
    ASSERT_EQ(p.rules.size(), 3u);
    EXPECT_EQ(p.rules[0].name, "rule 1");
    EXPECT_EQ(p.rules[0].action, RuleAction::keep);
    EXPECT_EQ(p.rules[0].match, std::vector<std::string>{"*.mod.*"});
    EXPECT_EQ(p.rules[0].reason, "steers everything");
    EXPECT_EQ(p.rules[0].where, "t.toml:8:1");
    EXPECT_EQ(p.rules[1].name, "vision");
    EXPECT_EQ(p.rules[1].action, RuleAction::remove);
    EXPECT_EQ(p.rules[1].regex, (std::vector<std::string>{"^vision\\.", "visual"}));
    EXPECT_EQ(p.rules[1].regex_where, "t.toml:14:9");
    EXPECT_EQ(p.rules[1].match, std::vector<std::string>{"*.vit.*"});
    EXPECT_EQ(p.rules[2].name, "rule 3");
    EXPECT_EQ(p.rules[2].action, RuleAction::quantize);
    EXPECT_EQ(p.rules[2].treatment.format.id, "int8");
}

TEST(Inheritance, IsFromTheSameIdOnly) {
    const Pipeline p = parsed(least + R"(
scaling = "row"
[format.fp8]
scaling = "tensor"
element = "e5m2"
[format.int8]
scaling = "block"
[[rule]]
match = "same"
format = "fp8"
element = "e4m3fn"
[[rule]]
match = "other"
format = "int8"
extra = "x"
[[rule]]
match = "no format"
action = "quantize"
[fallback]
format = "nf4"
)");
    const PluginChoice &primary = p.quantize.treatment.format, &same = p.rules[0].treatment.format,
                       &other = p.rules[1].treatment.format, &none = p.rules[2].treatment.format;
    EXPECT_EQ(text_option(primary, "scaling"), "row");
    EXPECT_EQ(text_option(primary, "element"), "e5m2");
    EXPECT_EQ(text_option(same, "scaling"), "row");
    EXPECT_EQ(text_option(same, "element"), "e4m3fn");
    EXPECT_EQ(text_option(other, "scaling"), "block");
    EXPECT_EQ(text_option(other, "element"), "(none)");
    EXPECT_EQ(text_option(other, "extra"), "x");
    EXPECT_EQ(none.id, "fp8");
    EXPECT_EQ(text_option(none, "scaling"), "row");
    EXPECT_TRUE(p.fallback->format.options.empty());
}

TEST(Inheritance, OfOptionsBesideARuleWithoutFormatIsOverQuantize) {
    const Pipeline p = parsed(least +
                              "scaling = \"row\"\n[[rule]]\nmatch=\"*\"\naction=\"quantize\"\n"
                              "scaling = \"tensor\"\n");
    EXPECT_EQ(text_option(p.rules[0].treatment.format, "scaling"), "tensor");
    EXPECT_EQ(text_option(p.quantize.treatment.format, "scaling"), "row");
}

TEST(Inheritance, OfOptimizerAndMatrixMultIsFromQuantize) {
    const Pipeline p = parsed(least + R"(
optimizer = "adamw"
full_precision_matrix_mult = true
[optimizer.adamw]
rate = 0.5
[[rule]]
match = "a"
format = "int8"
[[rule]]
match = "b"
format = "fp8"
optimizer = "none"
full_precision_matrix_mult = false
[fallback]
format = "int8"
)");
    EXPECT_EQ(p.rules[0].treatment.optimizer.id, "adamw");
    EXPECT_EQ(std::get<double>(p.rules[0].treatment.optimizer.options.at("rate").value), 0.5);
    EXPECT_EQ(p.rules[0].treatment.full_precision_matrix_mult, true);
    EXPECT_EQ(p.rules[1].treatment.optimizer.id, "none");
    EXPECT_TRUE(p.rules[1].treatment.optimizer.options.empty());
    EXPECT_EQ(p.rules[1].treatment.full_precision_matrix_mult, false);
    EXPECT_EQ(p.fallback->optimizer.id, "adamw");
}

TEST(Inheritance, OfEmbeddingsIsThatOfTheirFormat) {
    EXPECT_EQ(
        text_option(parsed(least + "scaling=\"row\"\nembeddings=\"fp8\"\n").quantize.embeddings, "scaling"),
        "row");
    EXPECT_EQ(
        text_option(parsed(least + "embeddings=\"int8\"\n[format.int8]\nx=\"y\"\n").quantize.embeddings, "x"),
        "y");
}

TEST(Inheritance, OfATableThatNothingUsesIsAWarning) {
    const Pipeline p = parsed(least + "[format.fp9]\nscaling = \"row\"\n[optimizer.adamw]\nrate = 1\n");
    ASSERT_EQ(p.warnings.size(), 2u);
    EXPECT_EQ(p.warnings[0],
              "t.toml:7:9: [format.fp9] has no effect: nothing uses 'fp9'; did you mean 'fp8'?");
    EXPECT_EQ(p.warnings[1], "t.toml:9:12: [optimizer.adamw] has no effect: nothing uses 'adamw'");
    EXPECT_TRUE(parsed(least + "[profile.flux]\nx = 1\n").warnings.empty());  // may yet be detected
    EXPECT_EQ(parsed(least + "[model]\nprofile=\"none\"\n[profile.flux]\nx = 1\n").warnings.size(), 1u);
}

TEST(Fallback, OfKeepIsNone) {
    EXPECT_FALSE(parsed(least + "[fallback]\nformat = \"keep\"\n").fallback);
    EXPECT_TRUE(parsed(least + "[fallback]\nformat = \"int8\"\n").fallback);
}

TEST(Paths, AreRelativeToThePipelinesFolder) {
    const Pipeline p = parse_pipeline(least + "[report]\njson = \"/abs/r.json\"\n", "x/t.toml", "x");
    EXPECT_EQ(p.input.path, "x/in.safetensors");
    EXPECT_EQ(p.output.path, "x/out.safetensors");
    EXPECT_EQ(p.report.json, "/abs/r.json");
}

TEST(Paths, OfTheCommandLineAreRelativeToTheWorkingDirectory) {
    const Pipeline p =
        parse_pipeline(least, "x/t.toml", "x", {{"output.path", "here.safetensors", "-o", true}});
    EXPECT_EQ(p.input.path, "x/in.safetensors");
    EXPECT_EQ(p.output.path, "here.safetensors");
    EXPECT_EQ(p.output.where, "-o");
}

TEST(Paths, MayHoldAnyCharacter) {
    const Pipeline p = parse_pipeline(
        "[input]\npath = \"модели/größe 1.safetensors\"\n[output]\npath='o'\n"
        "[quantize]\nformat='fp8'\n",
        "t.toml", std::filesystem::path(u8"папка"));
    EXPECT_EQ(os::utf8(p.input.path), "папка/модели/größe 1.safetensors");
}

TEST(ReadPipeline, FromAFileTakesItsFolder) {
    const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / u8"halftone ж";
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "p.toml") << least;
    const Pipeline p = read_pipeline(folder / "p.toml", {{"quantize.format", "int8"}});
    EXPECT_EQ(p.input.path, folder / "in.safetensors");
    EXPECT_EQ(p.quantize.treatment.format.id, "int8");
    EXPECT_EQ(p.input.where, (folder / "p.toml").string() + ":2:8");
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace halftone
