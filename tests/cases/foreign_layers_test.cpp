// Layers that are stored not quite as Halftone writes them, and that loaders take: read with their numbers,
// found sound, quantized again, kept as they are.

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

#include "core/tensor/convert.hpp"
#include "tests/cases/check.hpp"

namespace halftone::test {
namespace {

using Values = std::vector<float>;

NewTensor bytes_tensor(std::string name, ht_dtype dtype, Shape shape, const std::vector<int>& values) {
    NewTensor tensor{std::move(name), dtype, std::move(shape), {}};
    for (const int value : values)
        tensor.bytes.push_back(static_cast<std::byte>(value));
    return tensor;
}

class Foreign : public Check {
  protected:
    Finished on_file(const std::string& command, std::vector<std::string> more = {}) {
        std::vector<std::string> words = {command, (folder_ / "in.safetensors").string()};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }
    Finished dequantize() {
        return on_file("dequantize",
                       {"-o", (folder_ / "plain.safetensors").string(), "--dtype", "f32", "--force"});
    }
    Values plain(const std::string& name) {
        const Checkpoint made = Checkpoint::open(folder_ / "plain.safetensors");
        const Tensor* const tensor = made.find(name);
        EXPECT_NE(tensor, nullptr) << name;
        if (!tensor) return {};
        Values values(element_count(tensor->shape).value());
        widen(tensor->dtype, made.read_all(*tensor), values);
        return values;
    }
    // dequantize, compare and verify agree about the file that was written.
    void expect_read(const std::string& name, const Values& expected) {
        const Finished done = dequantize();
        ASSERT_EQ(done.code, 0) << done.err;
        EXPECT_EQ(plain(name), expected);
        const Finished compared =
            halftone({"compare", (folder_ / "plain.safetensors").string(),
                      (folder_ / "in.safetensors").string(), "--fail-above", "relmse=0"});
        EXPECT_EQ(compared.code, 0) << compared.out << compared.err;
        const Finished verified = on_file("verify");
        EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
    }
};

const std::string int8_label = R"({"format": "int8_tensorwise"})";
const std::string experts_label =
    R"({"format": "int8_tensorwise", "num_experts": 2, "convrot": true, "convrot_groupsize": 4})";

TEST_F(Foreign, ScalesInOtherFloatingTypes) {
    const Values scales = {0.5f, 0.25f};
    for (const ht_dtype dtype : {HT_DTYPE_F16, HT_DTYPE_BF16}) {
        write({bytes_tensor("a.weight", HT_DTYPE_I8, {2, 3}, {1, -2, 127, 4, -5, 6}),
               float_tensor("a.weight_scale", dtype, {2, 1}, scales), marker("a", int8_label)});
        expect_read("a.weight", {0.5f, -1, 63.5f, 1, -1.25f, 1.5f});
    }
    NewTensor wide{"a.weight_scale", HT_DTYPE_F64, {}, std::vector<std::byte>(8)};
    const double third = 1.0 / 3;
    std::memcpy(wide.bytes.data(), &third, sizeof third);
    write({bytes_tensor("a.weight", HT_DTYPE_F8_E4M3, {1, 2}, {0x38, 0xC8}), wide, marker("a", fp8_label)});
    expect_read("a.weight", {1.0f / 3, -4 * (1.0f / 3)});
}

// What is sound in F32 is not in F16: a scale that is no number, or negative.
TEST_F(Foreign, ScalesInOtherFloatingTypesAreLookedAt) {
    for (const float bad : {-1.0f, INFINITY}) {
        write({bytes_tensor("a.weight", HT_DTYPE_I8, {1, 2}, {1, 2}),
               float_tensor("a.weight_scale", HT_DTYPE_F16, {}, Values{bad}), marker("a", int8_label)});
        EXPECT_EQ(on_file("verify").code, 1) << bad;
        EXPECT_NE(dequantize().code, 0) << bad;
    }
}

TEST_F(Foreign, BytesOfWeightsUnderTheOtherType) {
    write({bytes_tensor("a.weight", HT_DTYPE_U8, {1, 3}, {1, 254, 129}),
           float_tensor("a.weight_scale", HT_DTYPE_F32, {}, Values{1}), marker("a", int8_label)});
    expect_read("a.weight", {1, -2, -127});
}

TEST_F(Foreign, AMarkerWithAByteOrderMarkOrInUtf16) {
    std::string wide("\xFF\xFE", 2);
    for (const char c : int8_label)
        wide += {c, '\0'};
    for (const std::string& text : {"\xEF\xBB\xBF" + int8_label, wide}) {
        write({bytes_tensor("a.weight", HT_DTYPE_I8, {1, 2}, {1, -2}),
               float_tensor("a.weight_scale", HT_DTYPE_F32, {}, Values{2}), marker("a", text)});
        expect_read("a.weight", {2, -4});
        expect_taken("comfyui", "taken: 1 layer");
    }
}

// (4, 0, 0, -1) rotated in fours is (2.5, 1.5, 1.5, -2.5), and back.
TEST_F(Foreign, RotationsAreUndoneByTheTruthOfLoaders) {
    const auto layer = [&](const std::string& name, const std::string& text) {
        write({bytes_tensor(name + ".weight", HT_DTYPE_I8, {1, 4}, {5, 3, 3, -5}),
               float_tensor(name + ".weight_scale", HT_DTYPE_F32, {1, 1}, Values{0.5f}), marker(name, text)});
    };
    const std::string yes = R"(, "convrot": "yes", "convrot_groupsize": "4"})";
    const std::string start = R"({"format": "int8_tensorwise")";
    layer("proj", start + yes);
    expect_read("proj.weight", {4, 0, 0, -1});
    layer("proj", start + R"(, "params": {"convrot": 1, "convrot_groupsize": 4}})");
    expect_read("proj.weight", {4, 0, 0, -1});
    // Of embedding tables loaders read the root alone.
    layer("embed_tokens", start + R"(, "params": {"convrot": true, "convrot_groupsize": 4}})");
    expect_read("embed_tokens.weight", {2.5f, 1.5f, 1.5f, -2.5f});
    layer("embed_tokens",
          start + R"(, "convrot": true, "convrot_groupsize": 4, "params": {"convrot": false}})");
    expect_read("embed_tokens.weight", {4, 0, 0, -1});
}

TEST_F(Foreign, StacksOfRotatedRowsAreRotatedBack) {
    const std::string name = "mlp.experts.up";
    const auto stack = [&](const Shape& scale_shape, const Values& scales) {
        write({bytes_tensor(name + ".weight", HT_DTYPE_I8, {2, 1, 4}, {5, 3, 3, -5, 10, 6, 6, -10}),
               float_tensor(name + ".weight_scale", HT_DTYPE_F32, scale_shape, scales),
               marker(name, experts_label)});
    };
    stack({2, 1, 1}, {0.5f, 1});
    expect_read(name + ".weight", {4, 0, 0, -1, 16, 0, 0, -4});
    const Finished checked = check("comfyui", {"-v"});
    EXPECT_EQ(checked.code, 0) << checked.out << checked.err;
    EXPECT_NE(checked.out.find("0.38.1"), std::string::npos) << checked.out;
    // Of one that has fewer dimensions each expert has a number; one for all has none.
    stack({2}, {0.5f, 1});
    expect_read(name + ".weight", {4, 0, 0, -1, 16, 0, 0, -4});
    stack({}, {0.5f});
    expect_read(name + ".weight", {4, 0, 0, -1, 8, 0, 0, -2});
    stack({1}, {0.5f});
    EXPECT_NE(dequantize().code, 0) << "loaders ask for the second of one number";
}

// Rows of all experts below each other: the marker says how many there are.
TEST_F(Foreign, StacksThatLieFlatGetTheirDimensionBack) {
    const std::string name = "mlp.experts.up";
    write({bytes_tensor(name + ".weight", HT_DTYPE_I8, {2, 4}, {5, 3, 3, -5, 10, 6, 6, -10}),
           float_tensor(name + ".weight_scale", HT_DTYPE_F32, {2, 1}, Values{0.5f, 1}),
           marker(name, experts_label)});
    expect_read(name + ".weight", {4, 0, 0, -1, 16, 0, 0, -4});
    EXPECT_EQ(Checkpoint::open(folder_ / "plain.safetensors").find(name + ".weight")->shape,
              (Shape{2, 1, 4}));
    write_text(folder_ / "p.toml",
               "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n[model]\nprofile = "
               "\"none\"\n[quantize]\nformat = \"fp8\"\n");
    const Finished done = halftone({"run", (folder_ / "p.toml").string(), "--verify"});
    ASSERT_EQ(done.code, 0) << done.err;
    const Checkpoint made = Checkpoint::open(folder_ / "out.safetensors");
    EXPECT_EQ(made.find(name + ".weight")->shape, (Shape{2, 1, 4}));
    EXPECT_EQ(made.find(name + ".weight_scale")->shape, (Shape{2}));
}

TEST_F(Foreign, StacksAreWrittenRotatedAndReadBack) {
    write_checkpoint(folder_ / "plain.safetensors",
                     {random_tensor("mlp.experts.up.weight", HT_DTYPE_BF16, {3, 8, 64}, 1)});
    write_text(
        folder_ / "p.toml",
        "[input]\npath = \"plain.safetensors\"\n[output]\npath = \"in.safetensors\"\n[model]\nprofile = "
        "\"none\"\n[quantize]\nformat = \"int8\"\nrotation = \"hadamard\"\n");
    const Finished done = halftone({"run", (folder_ / "p.toml").string(), "--verify"});
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_NE((done.out + done.err).find("ComfyUI 0.33.0 and older do not rotate those back"),
              std::string::npos)
        << done.out << done.err;
    const Checkpoint made = Checkpoint::open(folder_ / "in.safetensors");
    EXPECT_EQ(made.find("mlp.experts.up.weight_scale")->shape, (Shape{3, 8, 1}));
    const Finished compared =
        halftone({"compare", (folder_ / "plain.safetensors").string(), (folder_ / "in.safetensors").string(),
                  "--fail-above", "relmse=0.0002"});
    EXPECT_EQ(compared.code, 0) << compared.out << compared.err;
}

std::vector<NewTensor> six_bits() {
    std::vector<int> codes = {0x21, 0x64, 0xA8, 0xEC, 0x20, 0x64, 0xA8, 0xEC, 0x2F, 0x64, 0xA9, 0xFD,
                              0x31, 0x74, 0xC9, 0xFE, 0x00, 0x00, 0x55, 0x55, 0xA9, 0xAA, 0xFF, 0xFF};
    return {bytes_tensor("six.weight", HT_DTYPE_I8, {1, 24}, codes),
            bytes_tensor("six.weight_s_rel", HT_DTYPE_F8_E4M3, {1, 2}, {0x48, 0x2C}),
            float_tensor("six.weight_s_channel", HT_DTYPE_F32, {1}, Values{0.5f}),
            marker("six", R"({"format": "asym_w4a8_int8", "group_size": 16, "convrot_groupsize": 4})")};
}

TEST_F(Foreign, CodesOf6BitsAreReadKeptAndQuantizedAgain) {
    std::vector<NewTensor> tensors = six_bits();
    tensors.push_back(random_tensor("other.weight", HT_DTYPE_BF16, {16, 32}, 3));
    write(tensors);
    ASSERT_EQ(dequantize().code, 0);
    const Values values = plain("six.weight");
    // The first four whole numbers, halved and rotated back: -62, -60, -56, -52.
    ASSERT_EQ(values.size(), 32u);
    EXPECT_EQ((Values{values[0], values[1], values[2], values[3]}), (Values{-63, -59, -55, -53}));
    EXPECT_EQ(on_file("verify").code, 0) << on_file("verify").out;
    expect_taken("comfyui", "taken: 1 layer");

    const auto to = [&](const std::string& quantize) {
        write_text(
            folder_ / "p.toml",
            "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\nreplace = true\n"
            "[model]\nprofile = \"none\"\n" +
                quantize);
        return halftone({"run", (folder_ / "p.toml").string()});
    };
    const Finished again = to("[quantize]\nformat = \"int8\"\n");
    ASSERT_EQ(again.code, 0) << again.err;
    const Finished compared =
        halftone({"compare", (folder_ / "plain.safetensors").string(), (folder_ / "out.safetensors").string(),
                  "--fail-above", "relmse=0.0002"});
    EXPECT_EQ(compared.code, 0) << compared.out << compared.err;

    const Finished kept =
        to("[[rule]]\nmatch = \"six.weight\"\naction = \"keep\"\n[quantize]\nformat = \"int8\"\n");
    ASSERT_EQ(kept.code, 0) << kept.err;
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    for (const NewTensor& tensor : six_bits()) {
        ASSERT_NE(after.find(tensor.name), nullptr) << tensor.name;
        EXPECT_EQ(after.read_all(*after.find(tensor.name)), tensor.bytes) << tensor.name;
    }

    const Finished refused =
        to("[quantize]\nformat = \"asym_w4a8_int8\"\nbits = 6\non_refusal = \"error\"\n");
    EXPECT_NE(refused.code, 0);
    EXPECT_NE(refused.err.find("codes of 6 bits are read, and not written yet"), std::string::npos)
        << refused.err;
}

}  // namespace
}  // namespace halftone::test
