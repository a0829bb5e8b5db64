// What the host makes sure of, whatever a format does: numbers, gaps, and what loaders read.

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

constexpr const char* weight_name = "blocks.0.attn.weight";

class Duties : public testing::Test {
  protected:
    void SetUp() override { write({random_tensor(weight_name, HT_DTYPE_F32, {64, 32}, 1)}); }

    void write(const std::vector<NewTensor>& tensors) {
        write_checkpoint(folder_ / "in.safetensors", tensors);
    }
    Finished run(const std::string& quantize, const std::string& more = "",
                 const std::vector<std::string>& flags = {}) {
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n"
                   "replace = true\n[model]\nprofile = \"none\"\n[quantize]\n" +
                       quantize + more);
        std::vector<std::string> words = {"run", (folder_ / "p.toml").string(), "--plugin-dir",
                                          HALFTONE_FIXTURE_PLUGINS};
        words.insert(words.end(), flags.begin(), flags.end());
        return halftone(words);
    }
    void expect_stopped(const Finished& finished, const std::vector<std::string>& words) {
        EXPECT_EQ(finished.code, 4) << finished.out << finished.err;
        for (const std::string& word : words)
            EXPECT_NE(finished.err.find(word), std::string::npos) << word << " in:\n" << finished.err;
        EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
    }
    Checkpoint out() { return Checkpoint::open(folder_ / "out.safetensors"); }
    std::string marker_of(const std::string& layer) {
        const Checkpoint file = out();
        const Tensor* const marker = file.find(layer + ".comfy_quant");
        if (!marker) return "";
        const std::vector<std::byte> bytes = file.read_all(*marker);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    TemporaryFolder folder_;
};

TEST_F(Duties, ScalesThatAreNoNumbersAreNotWritten) {
    const std::pair<const char*, const char*> cases[] = {
        {"nan_scale", "NaN or infinite: 1 of 1; the first is nan, element 0"},
        {"infinite_scale", "NaN or infinite: 1 of 1; the first is inf, element 0"},
        {"negative_scale", "negative: 1 of 1; the first is -1, element 0"}};
    for (const auto& [fault, words] : cases)
        expect_stopped(run("format = \"while-writing\"\nfault = \"" + std::string(fault) + "\"\n"),
                       {weight_name, "format 'while-writing'", "companion()", "'.weight_scale'", words,
                        "action = \"keep\""});
}

TEST_F(Duties, EveryElementIsLookedAt) {
    expect_stopped(run("format = \"tiles-negative-scale\"\n"), {"negative: 1 of 512", "element 13"});
    expect_stopped(run("format = \"tiles-wrong-scales\"\n"), {"negative: 512 of 512", "element 0"});
}

TEST_F(Duties, ScalesThatAreNoNumbersAreNotWrittenBesideLearnedRounding) {
    expect_stopped(run("format = \"tiles-negative-scale\"\noptimizer = \"integral\"\n"),
                   {weight_name, "format 'tiles-negative-scale'", "negative: 1 of 512", "element 13"});
}

// Bytes that a plugin leaves out are zeros, whatever was in the buffer before.
TEST_F(Duties, GapsAreZerosAndNotWhatLayInMemory) {
    std::vector<NewTensor> tensors;
    for (int i = 0; i < 6; ++i)
        tensors.push_back(
            random_tensor("blocks." + std::to_string(i) + ".weight", HT_DTYPE_F32, {64, 32}, i));
    write(tensors);
    const Finished finished =
        run("format = \"while-writing\"\nfault = \"leaves_a_gap\"\n", "[run]\nthreads = 1\n");
    ASSERT_EQ(finished.code, 0) << finished.err;
    const Checkpoint file = out();
    for (int i = 0; i < 6; ++i) {
        const std::vector<std::byte> bytes =
            file.read_all(*file.find("blocks." + std::to_string(i) + ".weight"));
        const auto gap = std::span(bytes).last(bytes.size() / 2);
        EXPECT_TRUE(std::ranges::all_of(gap, [](std::byte byte) { return byte == std::byte{0}; })) << i;
        EXPECT_FALSE(std::ranges::all_of(std::span(bytes).first(bytes.size() / 2),
                                         [](std::byte byte) { return byte == std::byte{0}; }));
    }
}

TEST_F(Duties, LogLinesOfJobsNameTheTensor) {
    const Finished finished = run("format = \"while-writing\"\nfault = \"talks\"\n");
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_NE(finished.err.find("format 'while-writing': blocks.0.attn.weight: clips something"),
              std::string::npos)
        << finished.err;
}

TEST_F(Duties, FullPrecisionIsWrittenForAFormatThatForgetsIt) {
    const Finished finished = run("format = \"deaf\"\nfull_precision_matrix_mult = true\n");
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_EQ(marker_of("blocks.0.attn"), R"({"format": "deaf", "full_precision_matrix_mult": true})");
    bool told = false;
    const Checkpoint file = out();
    for (const auto& [key, text] : file.metadata())
        told |= key == "_quantization_metadata" &&
                text.find(R"("full_precision_matrix_mult": true)") != std::string::npos;
    EXPECT_TRUE(told);
}

class Refuses : public Duties {
  protected:
    void SetUp() override {
        std::vector<float> large(64 * 32, 0.5f);
        large[77] = 3;
        write({float_tensor("a.weight", HT_DTYPE_F32, {64, 32}, large),
               random_tensor("b.weight", HT_DTYPE_F32, {64, 32}, 2),
               float_tensor("c.weight", HT_DTYPE_F32, {64, 32}, large)});
    }
    static constexpr const char* refuses = "format = \"while-writing\"\nfault = \"refuses\"\n";
};

TEST_F(Refuses, AMatrixThatIsRefusedAfterThePlanIsKept) {
    const Finished finished = run(refuses);
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_NE(finished.err.find("format 'while-writing': fit_fold() refused it once it had the weights: its "
                                "largest value is over 1"),
              std::string::npos)
        << finished.err;
    EXPECT_NE(finished.out.find("2 refused by while-writing"), std::string::npos) << finished.out;
    EXPECT_NE(finished.out.find("1 quantized"), std::string::npos) << finished.out;
    const Checkpoint before = Checkpoint::open(folder_ / "in.safetensors"), after = out();
    EXPECT_EQ(after.read_all(*after.find("a.weight")), before.read_all(*before.find("a.weight")));
    EXPECT_EQ(after.find("a.comfy_quant"), nullptr);
    EXPECT_NE(after.find("b.comfy_quant"), nullptr);
    EXPECT_EQ(names_in(folder_.path()),
              (std::vector<std::string>{"in.safetensors", "out.safetensors", "p.toml"}));
}

TEST_F(Refuses, OnRefusalErrorEndsTheRunWithPluginFunctionAndTensor) {
    expect_stopped(run(refuses + std::string("on_refusal = \"error\"\n")),
                   {".weight: format 'while-writing': fit_fold() refused it once it had the weights: ",
                    "keep it with a [[rule]] that has action = \"keep\""});
}

// A Flux file: the profile says that loaders read the columns of this weight.
class ReadColumns : public Duties {
  protected:
    void SetUp() override {
        write({random_tensor("double_blocks.0.img_attn.qkv.weight", HT_DTYPE_BF16, {96, 32}, 1),
               random_tensor("double_blocks.0.img_attn.norm.key_norm.scale", HT_DTYPE_BF16, {32}, 2),
               random_tensor("guidance_in.in_layer.weight", HT_DTYPE_BF16, {32, 64}, 3),
               random_tensor("img_in.weight", HT_DTYPE_BF16, {32, 64}, 4),
               random_tensor("vector_in.in_layer.weight", HT_DTYPE_BF16, {32, 48}, 5),
               random_tensor("txt_in.weight", HT_DTYPE_BF16, {32, 64}, 6),
               random_tensor("single_blocks.0.linear1.weight", HT_DTYPE_BF16, {96, 32}, 7)});
    }
    Finished run_all(const std::string& more) {
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n"
                   "replace = true\n[model]\nprofile = \"flux\"\n[quantize]\n"
                   "format = \"packs-anyway\"\n" +
                       more + "[fallback]\nformat = \"packs-anyway\"\n");
        return halftone({"run", (folder_ / "p.toml").string(), "--plugin-dir", HALFTONE_FIXTURE_PLUGINS});
    }
};

TEST_F(ReadColumns, APlanThatPacksThemIsARefusal) {
    const Finished finished = run_all("");
    ASSERT_EQ(finished.code, 0) << finished.err;
    const Checkpoint file = out();
    EXPECT_EQ(file.find("single_blocks.0.linear1.weight")->dtype, HT_DTYPE_U8);
    uint64_t kept = 0;
    for (const char* name : {"img_in.weight", "vector_in.in_layer.weight", "guidance_in.in_layer.weight"})
        kept += file.find(name)->dtype == HT_DTYPE_BF16;
    EXPECT_GT(kept, 0u);
    EXPECT_NE(finished.out.find("refused by packs-anyway"), std::string::npos) << finished.out;
    EXPECT_EQ(file.find("vector_in.in_layer.weight")->shape, (Shape{32, 48}));
}

TEST_F(ReadColumns, OnRefusalErrorStopsAndSaysWhy) {
    const Finished finished = run_all("on_refusal = \"error\"\n");
    EXPECT_EQ(finished.code, 2) << finished.err;
    EXPECT_NE(finished.err.find("loaders read its columns, 32 x "), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace halftone::test
