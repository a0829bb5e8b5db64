// What layers that are quantized already have beside their numbers, when they are quantized again: calibrated
// input scales and full precision stay, or the summary says that they go, and why.

#include <cstring>
#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

constexpr float weight_scale = 0.00123f;

NewTensor scale(const std::string& name, std::vector<float> values, Shape shape = {}) {
    return float_tensor(name, HT_DTYPE_F32, std::move(shape), values);
}

NewTensor codes(const std::string& name) {
    std::vector<std::byte> bytes(64 * 64);
    for (size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = std::byte(i * 7 % 120);
    return {name, HT_DTYPE_F8_E4M3, {64, 64}, std::move(bytes)};
}

NewTensor text(const std::string& name, const std::string& content) {
    const auto* first = reinterpret_cast<const std::byte*>(content.data());
    return {name, HT_DTYPE_U8, {content.size()}, {first, first + content.size()}};
}

class KeptInputScales : public testing::Test {
  protected:
    // A layer as ComfyUI's files have it, and one as older files have it.
    void add_layer(const std::string& layer, std::vector<NewTensor> beside,
                   const std::string& marker = R"({"format": "float8_e4m3fn"})") {
        tensors_.push_back(codes(layer + ".weight"));
        tensors_.push_back(scale(layer + ".weight_scale", {weight_scale}));
        tensors_.push_back(text(layer + ".comfy_quant", marker));
        for (NewTensor& one : beside)
            tensors_.push_back(std::move(one));
    }
    void add_legacy_layer(const std::string& layer, std::vector<NewTensor> beside) {
        tensors_.push_back(codes(layer + ".weight"));
        tensors_.push_back(scale(layer + ".scale_weight", {weight_scale}));
        for (NewTensor& one : beside)
            tensors_.push_back(std::move(one));
    }
    void add_file_marker(uint64_t elements) {
        tensors_.push_back({"scaled_fp8", HT_DTYPE_F8_E4M3, {elements}, std::vector<std::byte>(elements)});
    }
    Finished run(const std::string& quantize, const std::string& layout = "comfyui",
                 const std::string& input = "") {
        write_checkpoint(folder_ / "in.safetensors", tensors_);
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n" + input +
                       "[output]\npath = \"out.safetensors\"\nreplace = true\nlayout = \"" + layout +
                       "\"\n[model]\nprofile = \"none\"\n[quantize]\n" + quantize);
        Finished finished = halftone({"run", (folder_ / "p.toml").string(), "--json"});
        EXPECT_EQ(finished.code, 0) << finished.err;
        totals_ = Json::parse(finished.out, nullptr, false).value("totals", Json::object());
        return finished;
    }
    std::string summary(const std::string& quantize) {
        run(quantize);
        return halftone({"run", (folder_ / "p.toml").string()}).out;
    }
    std::optional<float> number(const std::string& name) {
        const Checkpoint file = Checkpoint::open(folder_ / "out.safetensors");
        const Tensor* const tensor = file.find(name);
        if (!tensor) return std::nullopt;
        EXPECT_EQ(tensor->dtype, HT_DTYPE_F32);
        EXPECT_EQ(tensor->shape, Shape{});
        float value = 0;
        std::memcpy(&value, file.read_all(*tensor).data(), sizeof value);
        return value;
    }
    std::string marker(const std::string& layer) {
        const Checkpoint file = Checkpoint::open(folder_ / "out.safetensors");
        const Tensor* const tensor = file.find(layer + ".comfy_quant");
        if (!tensor) return "";
        const std::vector<std::byte> bytes = file.read_all(*tensor);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    uint64_t carried() { return totals_["input_scales"]["carried_over"].get<uint64_t>(); }
    Json left_out() { return totals_["input_scales"]["left_out"]; }

    TemporaryFolder folder_;
    std::vector<NewTensor> tensors_;
    Json totals_;
};

TEST_F(KeptInputScales, StayBitForBitWhereTheFormatTakesThem) {
    add_layer("a", {scale("a.input_scale", {0.0371f})});
    add_layer("b", {float_tensor("b.input_scale", HT_DTYPE_BF16, {1}, std::vector{0.25f})});
    run("format = \"fp8\"\n");
    EXPECT_EQ(number("a.input_scale"), 0.0371f);
    EXPECT_EQ(number("b.input_scale"), 0.25f);
    EXPECT_EQ(carried(), 2u);
    EXPECT_TRUE(left_out().empty()) << left_out();
    EXPECT_NE(summary("format = \"fp8\"\n").find("2 matrices with the input scale of the source"),
              std::string::npos);
}

// nvfp4 clamps at 448 * 6 times the scale where fp8 clamps at 448 times: the largest activation stays.
TEST_F(KeptInputScales, AreConvertedToTheUnitOfTheFormat) {
    add_layer("a", {scale("a.input_scale", {0.6f})});
    run("format = \"nvfp4\"\n");
    EXPECT_EQ(number("a.input_scale"), static_cast<float>(static_cast<double>(0.6f) * 448 / 2688));
    std::filesystem::rename(folder_ / "out.safetensors", folder_ / "in.safetensors");
    const Finished back = halftone({"run", (folder_ / "p.toml").string(), "--set", "quantize.format=fp8"});
    ASSERT_EQ(back.code, 0) << back.err;
    EXPECT_FLOAT_EQ(number("a.input_scale").value_or(0), 0.6f);
}

TEST_F(KeptInputScales, GoFromOneLayoutToTheOther) {
    add_legacy_layer("a", {scale("a.scale_input", {0.02f})});
    add_file_marker(0);
    run("format = \"fp8\"\n");
    EXPECT_EQ(number("a.input_scale"), 0.02f);
    EXPECT_EQ(marker("a"), R"({"format": "float8_e4m3fn"})");
    run("format = \"fp8\"\n", "legacy");
    EXPECT_EQ(number("a.scale_input"), 0.02f);
    EXPECT_EQ(number("a.input_scale"), std::nullopt);
}

TEST_F(KeptInputScales, GoWithAReasonWhereTheFormatHasNoUseForThem) {
    add_layer("a", {scale("a.input_scale", {0.0371f})});
    add_layer("b", {scale("b.input_scale", {0.04f})});
    for (const char* format : {"mxfp8", "int8\"\nscaling = \"row"}) {
        run("format = \"" + std::string(format) + "\"\n");
        EXPECT_EQ(number("a.input_scale"), std::nullopt) << format;
        EXPECT_EQ(carried(), 0u);
        ASSERT_EQ(left_out().size(), 1u) << left_out();
        EXPECT_EQ(left_out().begin().value(), 2);
        EXPECT_NE(left_out().begin().key().find("loaders make nothing of one with format '"),
                  std::string::npos);
    }
    EXPECT_NE(summary("format = \"mxfp8\"\n")
                  .find("2 matrices without the input scale of the source: loaders make nothing of one"),
              std::string::npos);
}

TEST_F(KeptInputScales, DummiesGoAndAreCounted) {
    add_layer("a", {scale("a.input_scale", {1})});
    add_layer("b", {scale("b.input_scale", {weight_scale})});
    add_layer("c", {scale("c.input_scale", {0.1f, 0.2f}, {2})});
    add_layer("d", {scale("d.input_scale", {-0.5f})});
    run("format = \"fp8\"\n");
    for (const char* layer : {"a", "b", "c", "d"})
        EXPECT_EQ(number(std::string(layer) + ".input_scale"), std::nullopt) << layer;
    EXPECT_EQ(left_out()["it is 1, which stands for none"], 1);
    EXPECT_EQ(left_out()["it is a copy of the weight's scale, which would cut activations off"], 1);
    EXPECT_EQ(left_out()["loaders take a single number only"], 1);
    EXPECT_EQ(left_out()["it is no positive number"], 1);
}

TEST_F(KeptInputScales, ThePipelineHasTheLastWord) {
    add_layer("a", {scale("a.input_scale", {0.0371f})});
    run("format = \"fp8\"\ninput_scale = \"never\"\n");
    EXPECT_EQ(number("a.input_scale"), std::nullopt);
    EXPECT_EQ(left_out()["the pipeline says input_scale = \"never\""], 1);
    run("format = \"fp8\"\ninput_scale = \"always\"\n");
    EXPECT_EQ(number("a.input_scale"), 0.0371f);

    std::vector<float> activations(2 * 64, 0.5f);
    activations[7] = -44.8f;
    write_checkpoint(folder_ / "stats.safetensors",
                     {float_tensor("a.inputs", HT_DTYPE_F32, {2, 64}, activations)});
    run("format = \"fp8\"\n", "comfyui", "statistics = \"stats.safetensors\"\n");
    EXPECT_FLOAT_EQ(number("a.input_scale").value_or(0), 0.1f);
    EXPECT_EQ(totals_["input_scales"]["measured"], 1);
    EXPECT_EQ(left_out()["it is measured again on [input] statistics"], 1);
}

TEST_F(KeptInputScales, FullPrecisionStaysLayerByLayer) {
    add_layer("a", {}, R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})");
    add_layer("b", {});
    run("format = \"nvfp4\"\n");
    EXPECT_NE(marker("a").find(R"("full_precision_matrix_mult": true)"), std::string::npos) << marker("a");
    EXPECT_EQ(marker("b").find("full_precision"), std::string::npos) << marker("b");
    EXPECT_EQ(totals_["full_precision"]["carried_over"], 1);
    run("format = \"nvfp4\"\nfull_precision_matrix_mult = false\n");
    EXPECT_EQ(marker("a").find("full_precision"), std::string::npos) << marker("a");
    EXPECT_EQ(totals_["full_precision"]["left_out"]["the pipeline says full_precision_matrix_mult = false"],
              1);
}

TEST_F(KeptInputScales, AMarkerOfTwoElementsAsksForFullPrecisionInTheOtherLayoutToo) {
    add_legacy_layer("a", {});
    tensors_.push_back(random_tensor("plain.weight", HT_DTYPE_BF16, {64, 64}, 3));
    add_file_marker(2);
    run("format = \"fp8\"\n");
    EXPECT_EQ(marker("a"), R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})");
    EXPECT_EQ(marker("plain"), R"({"format": "float8_e4m3fn"})");
    run("format = \"fp8\"\n", "legacy");
    const Checkpoint file = Checkpoint::open(folder_ / "out.safetensors");
    EXPECT_EQ(file.find("scaled_fp8")->shape, Shape{2}) << "one marker for both layers";
}

// The legacy layout marks the whole file: a layer's own wish becomes that of all.
TEST_F(KeptInputScales, FullPrecisionOfOneLayerHoldsForAllOfALegacyFile) {
    add_layer("a", {}, R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})");
    add_layer("b", {});
    run("format = \"fp8\"\n", "legacy");
    const Checkpoint file = Checkpoint::open(folder_ / "out.safetensors");
    EXPECT_EQ(file.find("scaled_fp8")->shape, Shape{2});
}

TEST_F(KeptInputScales, ARecipeOfTheRunMakesTheSameFile) {
    add_layer("a", {scale("a.input_scale", {0.0371f})},
              R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})");
    run("format = \"fp8\"\n");
    const std::string first = file_text(folder_ / "out.safetensors");
    const Checkpoint file = Checkpoint::open(folder_ / "out.safetensors");
    std::string recipe;
    for (const auto& [key, value] : file.metadata())
        if (key == "halftone.recipe") recipe = value;
    write_text(folder_ / "recipe.toml", recipe);
    const Finished again =
        halftone({"run", (folder_ / "recipe.toml").string(), "-i", (folder_ / "in.safetensors").string(),
                  "-o", (folder_ / "again.safetensors").string()});
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_TRUE(file_text(folder_ / "again.safetensors") == first);
}

}  // namespace
}  // namespace halftone::test
