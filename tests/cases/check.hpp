// What tests of `halftone check` have in common: files made by hand or by a run, and what is said of them.
#pragma once

#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {

inline constexpr const char* fp8_label = R"({"format": "float8_e4m3fn"})";

inline constexpr const char* int8_label = R"({"format": "int8_tensorwise"})";

inline NewTensor zeros(std::string name, ht_dtype dtype, Shape shape) {
    const uint64_t bytes = byte_count(dtype, shape).value();
    return {std::move(name), dtype, std::move(shape), std::vector<std::byte>(bytes)};
}

inline NewTensor marker(const std::string& layer, const std::string& text) {
    const auto* first = reinterpret_cast<const std::byte*>(text.data());
    return {layer + ".comfy_quant", HT_DTYPE_U8, {text.size()}, {first, first + text.size()}};
}

// Names of a model whose text embedder tells ComfyUI how wide it is.
inline std::vector<NewTensor> model_with(NewTensor embedder, std::vector<NewTensor> more,
                                         const std::string& prefix) {
    std::vector<NewTensor> tensors = {zeros("noise_refiner.0.attention.k_norm.weight", HT_DTYPE_BF16, {8}),
                                      std::move(embedder)};
    tensors.insert(tensors.end(), more.begin(), more.end());
    for (NewTensor& tensor : tensors)
        tensor.name = prefix + tensor.name;
    return tensors;
}

inline Metadata header(const std::string& layer, const std::string& configuration) {
    return {{"_quantization_metadata",
             R"({"format_version": "1.0", "layers": {")" + layer + R"(": )" + configuration + "}}"}};
}

class Check : public testing::Test {
  protected:
    void write(const std::vector<NewTensor>& tensors, const Metadata& metadata = {}) {
        write_checkpoint(folder_ / "in.safetensors", tensors, metadata);
    }
    Finished check(const std::string& loader, std::vector<std::string> more = {},
                   const std::string& file = "in.safetensors") {
        std::vector<std::string> words = {"check", (folder_ / file).string(), "--for", loader};
        words.insert(words.end(), more.begin(), more.end());
        // Nobody's own description of loaders must change what is expected here.
        return halftone(words,
                        {.environment = {{"XDG_CONFIG_HOME", folder_.path().string()}}, .meanwhile = {}});
    }
    void expect_taken(const std::string& loader, const std::string& words = "") {
        const Finished finished = check(loader);
        EXPECT_EQ(finished.code, 0) << finished.out << finished.err;
        EXPECT_NE(finished.out.find(words), std::string::npos) << words << " in:\n" << finished.out;
        EXPECT_NE(finished.out.find("would take every tensor"), std::string::npos) << finished.out;
    }
    void expect_refused(const std::string& loader, const std::vector<std::string>& words) {
        const Finished finished = check(loader);
        EXPECT_EQ(finished.code, 1) << finished.out << finished.err;
        EXPECT_NE(finished.out.find("refused: "), std::string::npos) << finished.out;
        for (const std::string& word : words)
            EXPECT_NE(finished.out.find(word), std::string::npos) << word << " in:\n" << finished.out;
    }
    void attempt(const std::string& quantize, const std::string& output, const std::string& input = "") {
        write_checkpoint(folder_ / "plain.safetensors",
                         {random_tensor("blocks.0.proj.weight", HT_DTYPE_BF16, {256, 256}, 1),
                          random_tensor("blocks.0.proj.bias", HT_DTYPE_BF16, {256}, 2)});
        write_text(folder_ / "p.toml", "[input]\npath = \"plain.safetensors\"\n" + input +
                                           "[output]\npath = \"in.safetensors\"\nreplace = true\n" + output +
                                           "[model]\nprofile = \"none\"\n[quantize]\n" + quantize);
        last_ = halftone({"run", (folder_ / "p.toml").string()},
                         {.environment = {{"XDG_CONFIG_HOME", folder_.path().string()}}, .meanwhile = {}});
    }
    void run(const std::string& quantize, const std::string& output = "", const std::string& input = "") {
        attempt(quantize, output, input);
        ASSERT_EQ(last_.code, 0) << last_.err;
    }

    TemporaryFolder folder_;
    Finished last_;
};

}  // namespace halftone::test
