// What runs take of the machine's memory, as the system counts it: [run] memory is a limit, not a hint.

#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <unistd.h>

#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

constexpr uint64_t mebibyte = 1u << 20;

// Beside the weights: stacks and allocators of threads, what plugins take for a moment.
constexpr uint64_t beside(unsigned threads) {
    return (8 + threads) * mebibyte;
}

// Of zeros that take no room on the disk.
void write_zeros(const std::filesystem::path& path, const std::map<std::string, Shape>& tensors) {
    std::string text;
    uint64_t end = 0;
    for (const auto& [name, shape] : tensors) {
        const uint64_t bytes = 2 * element_count(shape).value();
        text += fmt::format(R"({}"{}":{{"dtype":"BF16","shape":[{}],"data_offsets":[{},{}]}})",
                            text.empty() ? "{" : ",", name, fmt::join(shape, ","), end, end + bytes);
        end += bytes;
    }
    text += "}";
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::string length(8, '\0');
    for (size_t i = 0; i < 8; ++i)
        length[i] = static_cast<char>(text.size() >> (8 * i));
    write_text(path, length + text);
    ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(8 + text.size() + end)), 0);
}

std::map<std::string, Shape> many_small() {
    std::map<std::string, Shape> tensors;
    for (int i = 0; i < 300; ++i)
        tensors["blocks." + std::to_string(i) + ".weight"] = {256, 512};
    return tensors;
}

struct Case {
    std::string name;
    std::map<std::string, Shape> tensors;
};

const std::vector<Case>& cases() {
    static const std::vector<Case> all = {
        {"some large ones",
         {{"a.weight", {4096, 4096}}, {"b.weight", {6144, 3072}}, {"c.weight", {3072, 8192}}}},
        {"one huge row", {{"a.weight", {1, 1 << 25}}}},
        {"a few huge rows", {{"a.weight", {24, 1 << 20}}}},
        {"very many rows", {{"a.weight", {1 << 21, 16}}}},
        {"rows of one", {{"a.weight", {1 << 24, 1}}}},
        {"many small ones", many_small()},
    };
    return all;
}

class MemoryOf : public testing::TestWithParam<std::string> {
  protected:
    Finished run(const std::map<std::string, Shape>& tensors, unsigned threads) {
        write_zeros(folder_ / "in.safetensors", tensors);
        return halftone({"run", (folder_ / "p.toml").string(), "--threads", std::to_string(threads),
                         "--memory", "64MiB", "--no-progress"});
    }
    void SetUp() override {
        if (sanitized) GTEST_SKIP() << "a sanitizer's own memory would be measured";
        std::istringstream words(GetParam());
        std::string format, option, options;
        words >> format;
        while (words >> option)
            options += option + "\n";
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\n"
                   "path = \"out.safetensors\"\nreplace = true\n[model]\n"
                   "profile = \"none\"\n[quantize]\nformat = \"" +
                       format + "\"\n" + options);
    }
    TemporaryFolder folder_;
};

// Within the memory that it was given, or refused with the size that is needed; never more, and never killed.
TEST_P(MemoryOf, StaysWithinItsLimitOrIsRefused) {
    for (const unsigned threads : {1u, 16u}) {
        const uint64_t base = run({{"a.weight", {64, 64}}}, threads).peak_memory;
        for (const Case& one : cases()) {
            const Finished finished = run(one.tensors, threads);
            const std::string what = one.name + " on " + std::to_string(threads) + " threads: ";
            if (finished.err.find("nothing would be quantized") != std::string::npos) continue;  // not taken
            if (finished.code == 6) {
                EXPECT_NE(finished.err.find("MiB at a time, and [run] memory is 64 MiB"), std::string::npos)
                    << what << finished.err;
                EXPECT_NE(finished.err.find("--memory "), std::string::npos) << what << finished.err;
            } else {
                EXPECT_EQ(finished.code, 0) << what << finished.err;
            }
            EXPECT_LE(finished.peak_memory, base + 64 * mebibyte + beside(threads))
                << what << (finished.peak_memory - base) / mebibyte << " MiB";
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Every, MemoryOf,
                         testing::Values("fp8", "fp8 scaling=\"row\"", "fp8 scaling=\"block3d\"",
                                         "int8 scaling=\"row\"", "cast", "nf4", "nvfp4", "mxfp8"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::erase_if(
                                 name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
                             return name;
                         });

class Memory : public testing::Test {
  protected:
    std::string pipeline(const std::string& format) {
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n"
                   "replace = true\nmetadata = \"header\"\n[model]\nprofile = \"none\"\n[quantize]\n" +
                       format);
        return (folder_ / "p.toml").string();
    }
    TemporaryFolder folder_;
};

// The plan says it before a weight is read, with a size that is enough.
TEST_F(Memory, ThatIsMissingIsTheSameErrorInPlanAndRunAndTheSizeToldIsEnough) {
    write_zeros(folder_ / "in.safetensors", {{"a.weight", {1, 3 << 22}}, {"b.weight", {64, 64}}});
    const std::string path = pipeline("format = \"int8\"\nscaling = \"row\"\n");
    const Finished planned = halftone({"plan", path, "--memory", "64MiB"});
    const Finished ran = halftone({"run", path, "--memory", "64MiB"});
    EXPECT_EQ(planned.code, 6) << planned.err;
    EXPECT_EQ(ran.code, 6);
    EXPECT_EQ(planned.err, ran.err);
    const std::string words = "with --memory ";
    const size_t at = planned.err.find(words);
    ASSERT_NE(at, std::string::npos) << planned.err;
    const size_t start = at + words.size();
    const std::string enough = planned.err.substr(start, planned.err.find(',', start) - start);
    EXPECT_EQ(halftone({"run", path, "--memory", enough}).code, 0) << enough;
}

// Bands are parts of a row there; the bytes are those of the same numbers in many short rows.
TEST_F(Memory, OfAHugeRowIsThatOfAPartOfIt) {
    const NewTensor row = random_tensor("a.weight", HT_DTYPE_BF16, {1, 3 << 19}, 7);
    NewTensor rows = row;
    rows.shape = {3 << 9, 1 << 10};
    for (const std::string format :
         {"format = \"fp8\"\n", "format = \"fp8\"\nscale = \"mse\"\n",
          "format = \"fp8\"\nscaling = \"block3d\"\n", "format = \"int8\"\nscaling = \"tensor\"\n",
          "format = \"cast\"\nto = \"e4m3fn\"\n", "format = \"nf4\"\n",
          "format = \"nf4\"\nscale = \"mse\"\n"}) {
        const std::string path = pipeline(format);
        std::map<std::string, std::vector<std::byte>> bytes[2];
        for (int i = 0; i < 2; ++i) {
            write_checkpoint(folder_ / "in.safetensors", {i == 0 ? row : rows});
            const Finished finished = halftone({"run", path, "--memory", "64MiB", "--verify"});
            ASSERT_EQ(finished.code, 0) << format << finished.err;
            const Checkpoint out = Checkpoint::open(folder_ / "out.safetensors");
            for (const Tensor& tensor : out.tensors())
                if (!tensor.name.ends_with(".comfy_quant")) bytes[i][tensor.name] = out.read_all(tensor);
        }
        EXPECT_EQ(bytes[0], bytes[1]) << format;
    }
}

// Some formats once blamed their plugin for such shapes.
TEST_F(Memory, OfVeryManyRowsIsToldAndNoFaultOfThePlugin) {
    write_zeros(folder_ / "in.safetensors", {{"a.weight", {1 << 24, 1}}, {"b.weight", {64, 64}}});
    for (const std::string format :
         {"format = \"mxfp8\"\n", "format = \"nvfp4\"\n", "format = \"fp8\"\nscaling = \"row\"\n",
          "format = \"int8\"\nscaling = \"row\"\n"}) {
        const Finished planned = halftone({"plan", pipeline(format), "--memory", "64MiB"});
        EXPECT_EQ(planned.code, 6) << format << planned.err;
        EXPECT_EQ(halftone({"plan", pipeline(format), "--memory", "4GiB"}).code, 0) << format;
    }
    write_zeros(folder_ / "in.safetensors", {{"a.weight", {1, 1 << 24}}, {"b.weight", {64, 64}}});
    EXPECT_EQ(halftone({"plan", pipeline("format = \"mxfp8\"\n"), "--memory", "4GiB"}).code, 0);
}

// A plan holds a few times what the header has, however many tensors there are.
TEST_F(Memory, OfAPlanGrowsWithTheHeaderAlone) {
    if (sanitized) GTEST_SKIP() << "a sanitizer's own memory would be measured";
    std::map<std::string, Shape> tensors;
    for (int i = 0; i < 100'000; ++i)
        tensors["transformer.blocks." + std::to_string(i) + ".norm.scale"] = {1};
    const std::string path = pipeline("format = \"fp8\"\n");
    write_zeros(folder_ / "in.safetensors", {{"a.weight", {64, 64}}});
    const uint64_t base = halftone({"plan", path}).peak_memory;
    write_zeros(folder_ / "in.safetensors", tensors);
    const uint64_t header = file_text(folder_ / "in.safetensors").size();
    const uint64_t most = halftone({"plan", path}).peak_memory - base;
    EXPECT_LE(most, 10 * header) << most / mebibyte << " MiB for " << header / mebibyte << " MiB";
}

}  // namespace
}  // namespace halftone::test
