// nvfp4 whose inputs loaders multiply by a scale for each column: read as what they compute, everywhere.

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "core/tensor/convert.hpp"
#include "tests/cases/check.hpp"

namespace halftone::test {
namespace {

constexpr uint64_t rows = 32, cols = 48;
using Values = std::vector<float>;

Values values_of(const Checkpoint& checkpoint, const std::string& name) {
    const Tensor* tensor = checkpoint.find(name);
    EXPECT_NE(tensor, nullptr) << name;
    if (!tensor) return {};
    Values values(element_count(tensor->shape).value());
    widen(tensor->dtype, checkpoint.read_all(*tensor), values);
    return values;
}

// Powers of two and their negatives, so that no product is rounded in any type.
Values powers() {
    Values scale(cols);
    for (size_t j = 0; j < scale.size(); ++j)
        scale[j] = std::ldexp(j % 5 == 0 ? -1.0F : 1.0F, static_cast<int>(j % 7) - 3);
    return scale;
}

NewTensor in_f64(std::string name, Shape shape, const Values& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(double));
    for (size_t i = 0; i < values.size(); ++i) {
        const double wide = values[i];
        std::memcpy(bytes.data() + i * sizeof wide, &wide, sizeof wide);
    }
    return {std::move(name), HT_DTYPE_F64, std::move(shape), std::move(bytes)};
}

class ColumnScale : public Check {
  protected:
    void SetUp() override {
        write_checkpoint(folder_ / "plain.safetensors",
                         {random_tensor("a.weight", HT_DTYPE_F32, {rows, cols}, 1)});
        quantize("plain.safetensors", "base.safetensors", "format = \"nvfp4\"\n");
        const Checkpoint base = Checkpoint::open(folder_ / "base.safetensors");
        for (const Tensor& tensor : base.tensors())
            tensors_.push_back({tensor.name, tensor.dtype, tensor.shape, base.read_all(tensor)});
        metadata_ = base.metadata();
        ASSERT_EQ(dequantize("base.safetensors", "base-plain.safetensors").code, 0);
        base_ = values_of(Checkpoint::open(folder_ / "base-plain.safetensors"), "a.weight");
    }
    void quantize(const std::string& input, const std::string& output, const std::string& quantize,
                  const std::string& more = "", const std::string& of_output = "") {
        write_text(folder_ / "p.toml", "[input]\npath = \"" + input + "\"\n[output]\npath = \"" + output +
                                           "\"\nreplace = true\n" + of_output +
                                           "[model]\nprofile = \"none\"\n[quantize]\n" + quantize + more);
        last_ = halftone({"run", (folder_ / "p.toml").string()});
    }
    Finished dequantize(const std::string& input, const std::string& output,
                        std::vector<std::string> more = {}) {
        std::vector<std::string> words = {
            "dequantize", (folder_ / input).string(), "-o", (folder_ / output).string(), "-f", "--dtype",
            "f32"};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }
    void write_with(const NewTensor& scale) {
        std::vector<NewTensor> all = tensors_;
        all.push_back(scale);
        write_checkpoint(folder_ / "in.safetensors", all, metadata_);
    }
    Values expected(const Values& scale) const {
        Values values = base_;
        for (size_t i = 0; i < values.size(); ++i)
            values[i] *= scale[scale.size() == 1 ? 0 : i % cols];
        return values;
    }

    std::vector<NewTensor> tensors_;
    Metadata metadata_;
    Values base_;
};

TEST_F(ColumnScale, IsMultipliedInWhateverItsTypeAndShape) {
    const Values scale = powers();
    const std::string name = "a.pre_quant_scale";
    for (const NewTensor& one :
         {float_tensor(name, HT_DTYPE_F32, {cols}, scale), float_tensor(name, HT_DTYPE_BF16, {cols}, scale),
          float_tensor(name, HT_DTYPE_F16, {1, cols}, scale), in_f64(name, {1, 1, cols}, scale)}) {
        write_with(one);
        const Finished finished = dequantize("in.safetensors", "out.safetensors");
        ASSERT_EQ(finished.code, 0) << finished.err;
        EXPECT_NE(finished.out.find("nvfp4 column_scale=each"), std::string::npos) << finished.out;
        const Checkpoint out = Checkpoint::open(folder_ / "out.safetensors");
        EXPECT_TRUE(values_of(out, "a.weight") == expected(scale));
        EXPECT_EQ(out.tensors().size(), 1U) << "nothing is left of the quantization";
    }
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
        write_with(float_tensor(name, HT_DTYPE_F32, shape, Values{-0.5F}));
        const Finished finished = dequantize("in.safetensors", "out.safetensors");
        ASSERT_EQ(finished.code, 0) << finished.err;
        EXPECT_TRUE(values_of(Checkpoint::open(folder_ / "out.safetensors"), "a.weight") ==
                    expected({-0.5F}));
    }
}

TEST_F(ColumnScale, EveryCommandSeesTheSameWeights) {
    const Values scale = powers();
    write_with(float_tensor("a.pre_quant_scale", HT_DTYPE_F32, {cols}, scale));
    write_checkpoint(folder_ / "true.safetensors",
                     {float_tensor("a.weight", HT_DTYPE_F32, {rows, cols}, expected(scale))});
    const std::string in = (folder_ / "in.safetensors").string(),
                      model = (folder_ / "true.safetensors").string();
    const Finished compared = halftone({"compare", model, in, "--fail-above", "relmse=0"});
    EXPECT_EQ(compared.code, 0) << compared.out << compared.err;
    EXPECT_NE(compared.out.find("nvfp4 column_scale=each"), std::string::npos) << compared.out;
    const Finished verified = halftone({"verify", in});
    EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
    expect_taken("comfyui", "nvfp4 column_scale=each");
    quantize("in.safetensors", "out.safetensors", "format = \"int8\"\nscaling = \"row\"\n");
    ASSERT_EQ(last_.code, 0) << last_.err;
    EXPECT_EQ(Checkpoint::open(folder_ / "out.safetensors").find("a.pre_quant_scale"), nullptr);
    quantize("true.safetensors", "direct.safetensors", "format = \"int8\"\nscaling = \"row\"\n");
    EXPECT_TRUE(Checkpoint::open(folder_ / "out.safetensors")
                    .read_all(*Checkpoint::open(folder_ / "out.safetensors").find("a.weight")) ==
                Checkpoint::open(folder_ / "direct.safetensors")
                    .read_all(*Checkpoint::open(folder_ / "direct.safetensors").find("a.weight")));
}

// At run time inputs are rounded after they were multiplied: a scale that makes them all alike loses less.
TEST_F(ColumnScale, InputsAreMultipliedByItBeforeTheyAreRounded) {
    const Values scale = powers();
    Values inputs(8 * cols), flat(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
        flat[i] = std::sin(static_cast<float>(i * i));
        inputs[i] = flat[i] / scale[i % cols];
    }
    const auto run_time = [&](const std::string& file, const std::vector<NewTensor>& reference,
                              const Values& samples) {
        write_checkpoint(folder_ / "model.safetensors", reference);
        write_checkpoint(folder_ / "stats.safetensors",
                         {float_tensor("a.inputs", HT_DTYPE_F32, {8, cols}, samples)});
        const Finished compared =
            halftone({"compare", (folder_ / "model.safetensors").string(), (folder_ / file).string(),
                      "--stats", (folder_ / "stats.safetensors").string(), "--json"});
        EXPECT_EQ(compared.code, 0) << compared.err;
        return Json::parse(compared.out)["tensors"][0]["run_time"].get<double>();
    };
    write_with(float_tensor("a.pre_quant_scale", HT_DTYPE_F32, {cols}, scale));
    const double scaled = run_time(
        "in.safetensors", {float_tensor("a.weight", HT_DTYPE_F32, {rows, cols}, expected(scale))}, inputs);
    const double plain =
        run_time("base.safetensors", {float_tensor("a.weight", HT_DTYPE_F32, {rows, cols}, base_)}, flat);
    EXPECT_GT(plain, 0);
    EXPECT_NEAR(scaled, plain, 1e-6 * plain);
}

TEST_F(ColumnScale, IsKeptWithAKeptLayerAndGoesWithOneThatIsMadePlain) {
    const Values scale(cols, 0.3F);
    write_with(float_tensor("a.pre_quant_scale", HT_DTYPE_F32, {1, cols}, scale));
    quantize("in.safetensors", "out.safetensors", "format = \"keep\"\n", "", "kept = \"bf16\"\n");
    ASSERT_EQ(last_.code, 0) << last_.err;
    const Checkpoint kept = Checkpoint::open(folder_ / "out.safetensors");
    ASSERT_NE(kept.find("a.pre_quant_scale"), nullptr);
    EXPECT_EQ(kept.find("a.pre_quant_scale")->dtype, HT_DTYPE_F32);
    EXPECT_TRUE(values_of(kept, "a.pre_quant_scale") == scale);
    // Beside a plain weight loaders ignore it; beside the new codes they would multiply by it.
    write_checkpoint(folder_ / "in.safetensors",
                     {random_tensor("a.weight", HT_DTYPE_F32, {rows, cols}, 1),
                      float_tensor("a.pre_quant_scale", HT_DTYPE_F32, {cols}, scale)});
    quantize("in.safetensors", "out.safetensors", "format = \"nvfp4\"\n");
    ASSERT_EQ(last_.code, 0) << last_.err;
    EXPECT_EQ(Checkpoint::open(folder_ / "out.safetensors").find("a.pre_quant_scale"), nullptr);
}

TEST_F(ColumnScale, WhatCannotBeOneIsRefusedByName) {
    const std::string name = "a.pre_quant_scale";
    Values odd = powers();
    odd[3] = NAN;
    const std::pair<NewTensor, std::string> wrong[] = {
        {float_tensor(name, HT_DTYPE_F32, {cols / 2}, Values(cols / 2, 1)),
         "its .pre_quant_scale has shape [24]"},
        {float_tensor(name, HT_DTYPE_F32, {cols, 1}, Values(cols, 1)),
         "its .pre_quant_scale has shape [48, 1]"},
        {float_tensor(name, HT_DTYPE_F32, {rows, cols}, Values(rows * cols, 1)), "has shape [32, 48]"},
        {zeros(name, HT_DTYPE_I32, {cols}), "its .pre_quant_scale is not of a floating-point type"},
        {float_tensor(name, HT_DTYPE_F32, {cols}, odd), "a.pre_quant_scale: element 3 is nan"},
        {float_tensor(name, HT_DTYPE_F16, {}, Values{INFINITY}), "a.pre_quant_scale: element 0 is inf"},
    };
    for (const auto& [scale, words] : wrong) {
        write_with(scale);
        const Finished plain = dequantize("in.safetensors", "out.safetensors");
        EXPECT_EQ(plain.code, 3) << words;
        EXPECT_NE(plain.err.find(words), std::string::npos) << plain.err;
        quantize("in.safetensors", "out.safetensors", "format = \"int8\"\nscaling = \"row\"\n");
        EXPECT_EQ(last_.code, 3) << words;
        EXPECT_NE(last_.err.find(words), std::string::npos) << last_.err;
        const Finished verified = halftone({"verify", (folder_ / "in.safetensors").string()});
        EXPECT_EQ(verified.code, 1);
        EXPECT_NE(verified.out.find(words), std::string::npos) << verified.out;
    }
}

TEST_F(ColumnScale, CannotBeWrittenYet) {
    quantize("plain.safetensors", "out.safetensors",
             "format = \"nvfp4\"\non_refusal = \"error\"\ncolumn_scale = \"each\"\n");
    EXPECT_EQ(last_.code, 2);
    EXPECT_NE(last_.err.find("scales of columns are read from files and cannot be written yet"),
              std::string::npos)
        << last_.err;
}

// It is for inputs after the multiplication by column scales, and nobody multiplies any more.
TEST_F(ColumnScale, AnInputScaleForScaledInputsIsLeftOut) {
    tensors_.push_back(float_tensor("a.input_scale", HT_DTYPE_F32, {}, Values{0.0005F}));
    write_with(float_tensor("a.pre_quant_scale", HT_DTYPE_F32, {cols}, powers()));
    for (const std::string format : {"format = \"fp8\"\n", "format = \"nvfp4\"\n"}) {
        quantize("in.safetensors", "out.safetensors", format);
        ASSERT_EQ(last_.code, 0) << last_.err;
        EXPECT_EQ(Checkpoint::open(folder_ / "out.safetensors").find("a.input_scale"), nullptr) << format;
        EXPECT_NE(last_.out.find("multiplied by column scales"), std::string::npos) << last_.out;
    }
}

}  // namespace
}  // namespace halftone::test
