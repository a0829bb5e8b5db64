// Mistakes of newcomers: what the program says must lead to what was meant.

#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

class Hints : public testing::Test {
  protected:
    void SetUp() override {
        write_checkpoint(folder_ / "in.safetensors",
                         {random_tensor("blocks.0.attn.weight", HT_DTYPE_BF16, {64, 64}, 1),
                          random_tensor("blocks.0.mlp.weight", HT_DTYPE_BF16, {64, 64}, 2)});
    }
    Finished run(const std::string& quantize, const std::string& more = "",
                 const std::vector<std::string>& flags = {}) {
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n"
                   "replace = true\n[model]\nprofile = \"none\"\n[quantize]\n" +
                       quantize + more);
        std::vector<std::string> words = {"run", (folder_ / "p.toml").string()};
        words.insert(words.end(), flags.begin(), flags.end());
        return halftone(words);
    }
    static void expect_said(const Finished& finished, int code, const std::vector<std::string>& words,
                            const std::vector<std::string>& not_words = {}) {
        EXPECT_EQ(finished.code, code) << finished.err;
        const std::string all = finished.out + finished.err;
        for (const std::string& word : words)
            EXPECT_NE(all.find(word), std::string::npos) << word << " in:\n" << all;
        for (const std::string& word : not_words)
            EXPECT_EQ(all.find(word), std::string::npos) << word << " in:\n" << all;
    }
    TemporaryFolder folder_;
};

TEST_F(Hints, AWrongInputOnTheCommandLineDoesNotBlameThePipeline) {
    expect_said(run("format = \"fp8\"\n", "", {"-i", (folder_ / "missing.safetensors").string()}), 3,
                {"--input", "missing.safetensors", "working directory"},
                {"pipeline's folder", "[input] path"});
    write_text(folder_ / "q.toml",
               "[input]\npath = \"missing.safetensors\"\n[output]\npath = \"o.safetensors\"\n[quantize]\n"
               "format = \"fp8\"\n");
    expect_said(halftone({"run", (folder_ / "q.toml").string()}), 3, {"q.toml:2:8", "pipeline's folder"});
}

TEST_F(Hints, NoFormatOfAnotherWidthIsSuggested) {
    for (const char* format : {"int4", "int16", "mxfp4", "fp16", "nf8x"}) {
        const Finished finished = run("format = \"" + std::string(format) + "\"\n");
        expect_said(
            finished, 4, {"found: ", "int8"},
            {"did you mean 'int8'", "did you mean 'nf4'", "did you mean 'mxfp8'", "did you mean 'fp8'"});
    }
    expect_said(run("format = \"f8p\"\n"), 4, {"did you mean 'fp8'?"});
    expect_said(run("format = \"nfp4\"\n"), 4, {"4'?"});
}

TEST_F(Hints, AGlobThatCoversNoWholeName) {
    expect_said(run("format = \"fp8\"\n", "[[rule]]\nmatch = \"attn\"\naction = \"keep\"\n"), 0,
                {"matches no tensor; a glob covers the whole name: \"*attn*\" would match 1 tensor"});
    expect_said(run("format = \"fp8\"\n", "[[rule]]\nmatch = \"blocks.*.attn\"\naction = \"keep\"\n"), 0,
                {"\"*blocks.*.attn*\" would match 1 tensor"});
    expect_said(run("format = \"fp8\"\n", "[[rule]]\nmatch = \"attn|mlp\"\naction = \"keep\"\n"), 0,
                {"as a regular expression it would match 2 tensors: write regex = 'attn|mlp'"});
    expect_said(run("format = \"fp8\"\n", "[[rule]]\nmatch = \"nothing\"\naction = \"keep\"\n"), 0,
                {"rule 1 matches no tensor\n"});
    expect_said(run("format = \"fp8\"\n", "[[rule]]\nregex = \"*attn*\"\naction = \"keep\"\n"), 2,
                {"is not a regular expression", "a glob is given by 'match'"});
}

TEST_F(Hints, FilesOfOtherKindsAreCalledByTheirName) {
    const std::pair<const char*, const char*> names[] = {
        {"m.gguf", "a GGUF file"},          {"m.pt", "a PyTorch checkpoint"},
        {"m.ckpt", "a PyTorch checkpoint"}, {"M.BIN", "a PyTorch checkpoint"},
        {"m.pth", "a PyTorch checkpoint"},  {"m.onnx", "an ONNX model"}};
    for (const auto& [name, kind] : names) {
        const std::string path = (folder_ / name).string();
        expect_said(run("format = \"fp8\"\n", "", {"-o", path}), 2,
                    {"--output", name, kind, ".safetensors'"});
        EXPECT_FALSE(std::filesystem::exists(path));
        expect_said(halftone({"dequantize", (folder_ / "in.safetensors").string(), "-o", path}), 2, {kind});
        write_text(path, "something else that is long enough");
        for (const Finished& finished :
             {run("format = \"fp8\"\n", "", {"-i", path}), halftone({"inspect", path})})
            expect_said(finished, 3, {name, kind, "not a safetensors file", "convert it"});
    }
    write_text(folder_ / "x.safetensors", std::string("GGUF\3\0\0\0", 8) + std::string(30, ' '));
    expect_said(halftone({"inspect", (folder_ / "x.safetensors").string()}), 3,
                {"is a GGUF file, not a safetensors file"});
}

TEST_F(Hints, WhatStandsInTheWrongPlaceOfTheCommandLine) {
    expect_said(halftone({"run", (folder_ / "in.safetensors").string()}), 2,
                {"in.safetensors", "is a checkpoint by its name", "given with -i"});
    expect_said(halftone({"quantize", "x.safetensors"}), 2,
                {"there is no command 'quantize'; 'run' does that"}, {"did you mean"});
    expect_said(run("format = \"fp8\"\n", "", {"--set", "format=int8"}), 2,
                {"'format' belongs in [quantize], [[rule]] or [fallback]"});
}

TEST_F(Hints, SmallRunsHaveASpeed) {
    expect_said(run("format = \"fp8\"\n"), 0, {"B/s"}, {"0.00 GB/s", "0.0 MB/s"});
}

TEST_F(Hints, TheHeaderDoesNotNameTheSource) {
    ASSERT_EQ(run("format = \"fp8\"\n").code, 0);
    const std::string first = file_text(folder_ / "out.safetensors");
    EXPECT_NE(first.find("header_sha256"), std::string::npos);
    EXPECT_EQ(first.find("in.safetensors"), std::string::npos);
    std::filesystem::rename(folder_ / "in.safetensors", folder_ / "renamed.safetensors");
    ASSERT_EQ(run("format = \"fp8\"\n", "", {"-i", (folder_ / "renamed.safetensors").string()}).code, 0);
    EXPECT_TRUE(file_text(folder_ / "out.safetensors") == first)
        << "the same bytes, whatever the source's name";
}

TEST_F(Hints, OptionsInTheWrongPlaceAreSentToTheRightOne) {
    expect_said(
        run("format = \"int8\"\noptimizer = \"integral\"\nrounds = 20\n"), 2,
        {"'rounds' is no option of format 'int8', but of optimizer 'integral'", "[optimizer.integral]"});
    expect_said(
        run("format = \"int8\"\n", "[[rule]]\nmatch = \"*\"\nformat = \"fp8\"\nobjective = \"svd\"\n"), 2,
        {"'objective' is no option of format 'fp8'", "it belongs in [rounding]"});
}

TEST_F(Hints, FactorsOfAnotherModelAreCounted) {
    write_checkpoint(folder_ / "factors.safetensors",
                     {float_tensor("other.left", HT_DTYPE_F32, {4, 64}, std::vector<float>(256, 1.0f))});
    const std::string more = "[rounding]\nobjective = \"factors.safetensors\"\n";
    const std::string quantize = "format = \"fp8\"\noptimizer = \"integral\"\n";
    expect_said(run(quantize, more), 0,
                {"2 matrices rounded to nearest: not learned: no factors in factors.safetensors"});
    const Finished finished = run(quantize, more, {"--json"});
    const Json report = Json::parse(finished.out, nullptr, false);
    EXPECT_EQ(report["totals"]["not_learned"]["not learned: no factors in factors.safetensors"], 2)
        << finished.out;
}

}  // namespace
}  // namespace halftone::test
