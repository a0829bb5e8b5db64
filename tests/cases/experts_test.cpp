// Stacks of experts: one tensor, as many matrices, each stored as if it were alone.

#include <cstring>
#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "core/tensor/convert.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

constexpr uint64_t experts = 3, rows = 24, cols = 64;
const std::string stack = "blocks.0.mlp.experts.gate_up.weight";

std::string single(uint64_t expert) {
    return "single." + std::to_string(expert) + ".weight";
}

std::vector<std::byte> bytes_of(const Checkpoint& checkpoint, const std::string& name) {
    const Tensor* const tensor = checkpoint.find(name);
    EXPECT_NE(tensor, nullptr) << name;
    return tensor ? checkpoint.read_all(*tensor) : std::vector<std::byte>();
}

// A file with a stack, and with its matrices one by one.
class Experts : public testing::Test {
  protected:
    Experts() {
        std::vector<NewTensor> tensors;
        NewTensor whole{stack, HT_DTYPE_BF16, {experts, rows, cols}, {}};
        for (uint64_t expert = 0; expert < experts; ++expert) {
            tensors.push_back(random_tensor(single(expert), HT_DTYPE_BF16, {rows, cols}, expert + 1));
            const std::vector<std::byte>& one = tensors.back().bytes;
            whole.bytes.insert(whole.bytes.end(), one.begin(), one.end());
        }
        tensors.push_back(std::move(whole));
        tensors.push_back(random_tensor("conv.weight", HT_DTYPE_BF16, {experts, rows, cols}, 9));
        write_checkpoint(folder_ / "in.safetensors", tensors);
    }

    Finished run(const std::string& from, const std::string& to, const std::string& quantize) {
        write_text(folder_ / "p.toml", "[input]\npath = \"" + from + "\"\n[output]\npath = \"" + to +
                                           "\"\n[model]\nprofile = \"none\"\n[quantize]\n" + quantize);
        return halftone({"run", (folder_ / "p.toml").string(), "--force"});
    }
    Checkpoint open(const std::string& name) { return Checkpoint::open(folder_ / name); }

    // Every tensor `suffix` of the stack is that of the single matrices, one after the other.
    static void expect_stacked(const Checkpoint& file, const std::string& suffix) {
        std::vector<std::byte> singles;
        for (uint64_t expert = 0; expert < experts; ++expert) {
            const std::vector<std::byte> one = bytes_of(file, "single." + std::to_string(expert) + suffix);
            singles.insert(singles.end(), one.begin(), one.end());
        }
        EXPECT_EQ(bytes_of(file, "blocks.0.mlp.experts.gate_up" + suffix), singles) << suffix;
    }

    TemporaryFolder folder_;
};

TEST_F(Experts, AreStoredAsTheirMatricesAreBelowALeadingDimension) {
    ASSERT_EQ(run("in.safetensors", "out.safetensors", "format = \"fp8\"\n").code, 0);
    const Checkpoint out = open("out.safetensors");
    EXPECT_EQ(out.find(stack)->shape, (Shape{experts, rows, cols}));
    EXPECT_EQ(out.find(stack)->dtype, HT_DTYPE_F8_E4M3);
    EXPECT_EQ(out.find("blocks.0.mlp.experts.gate_up.weight_scale")->shape, (Shape{experts}));
    expect_stacked(out, ".weight");
    expect_stacked(out, ".weight_scale");
    const std::vector<std::byte> text = bytes_of(out, "blocks.0.mlp.experts.gate_up.comfy_quant");
    const Json marker = Json::parse(std::string(reinterpret_cast<const char*>(text.data()), text.size()));
    EXPECT_EQ(marker.value("num_experts", 0u), experts);
    EXPECT_EQ(marker.value("format", ""), "float8_e4m3fn");
    EXPECT_EQ(out.find("conv.weight")->dtype, HT_DTYPE_BF16) << "a convolution is no stack of experts";
}

// Each of these by the options that its loaders know stacks for.
TEST_F(Experts, AreStackedInEveryLayoutThatLoadersKnow) {
    const std::vector<std::pair<std::string, std::vector<std::string>>> layouts = {
        {"format = \"int8\"\nscaling = \"tensor\"\n", {".weight", ".weight_scale"}},
        {"format = \"int8\"\nscaling = \"row\"\n", {".weight", ".weight_scale"}},
        {"format = \"nvfp4\"\n", {".weight", ".weight_scale", ".weight_scale_2"}},
        {"format = \"mxfp8\"\n", {".weight", ".weight_scale"}},
        {"format = \"convrot_w4a4\"\n", {".weight", ".weight_scale"}}};
    int files = 0;
    for (const auto& [quantize, suffixes] : layouts) {
        SCOPED_TRACE(quantize);
        const std::string out = "out" + std::to_string(++files) + ".safetensors";
        const Finished done = run("in.safetensors", out, quantize + "on_refusal = \"error\"\n");
        ASSERT_EQ(done.code, 0) << done.err;
        for (const std::string& suffix : suffixes)
            expect_stacked(open(out), suffix);
        const Finished compared = halftone({"compare", (folder_ / "in.safetensors").string(),
                                            (folder_ / out).string(), "--fail-above", "relmse=0.03"});
        EXPECT_EQ(compared.code, 0) << compared.out << compared.err;
    }
}

TEST_F(Experts, HaveTheirCodesCounted) {
    for (const std::string quantize : {"format = \"int8\"\nscaling = \"row\"\n", "format = \"nvfp4\"\n"}) {
        SCOPED_TRACE(quantize);
        ASSERT_EQ(run("in.safetensors", "out.safetensors", quantize).code, 0);
        const Finished done = halftone({"compare", (folder_ / "in.safetensors").string(),
                                        (folder_ / "out.safetensors").string(), "--json"});
        ASSERT_EQ(done.code, 0) << done.err;
        double saturated = 0, entropy = 0, of_singles = 0, least_entropy = 8;
        const Json compared = Json::parse(done.out);
        for (const Json& one : compared["tensors"]) {
            if (one["name"] == stack) {
                saturated = one["saturated"].get<double>();
                entropy = one["entropy"].get<double>();
            } else {
                of_singles += one["saturated"].get<double>() / experts;
                least_entropy = std::min(least_entropy, one["entropy"].get<double>());
            }
        }
        EXPECT_GT(saturated, 0);
        EXPECT_NEAR(saturated, of_singles, 1e-9);
        EXPECT_GE(entropy, least_entropy);
    }
}

TEST_F(Experts, AreLearnedOneByOne) {
    ASSERT_EQ(run("in.safetensors", "out.safetensors", "format = \"fp8\"\noptimizer = \"integral\"\n").code,
              0);
    expect_stacked(open("out.safetensors"), ".weight");
}

TEST_F(Experts, AreReadBackAsAStack) {
    ASSERT_EQ(run("in.safetensors", "out.safetensors", "format = \"fp8\"\n").code, 0);
    const Finished done = halftone({"dequantize", (folder_ / "out.safetensors").string(), "-o",
                                    (folder_ / "back.safetensors").string(), "--dtype", "f32"});
    ASSERT_EQ(done.code, 0) << done.err;
    const Checkpoint back = open("back.safetensors");
    EXPECT_EQ(back.find(stack)->shape, (Shape{experts, rows, cols}));
    expect_stacked(back, ".weight");

    const Finished compared =
        halftone({"compare", (folder_ / "in.safetensors").string(), (folder_ / "out.safetensors").string(),
                  "--json", "--fail-above", "relmse=0.002"});
    EXPECT_EQ(compared.code, 0) << compared.out << compared.err;
    const Finished strict =
        halftone({"compare", (folder_ / "in.safetensors").string(), (folder_ / "out.safetensors").string(),
                  "--fail-above", "relmse=0.0001"});
    EXPECT_EQ(strict.code, 1) << "the comparison sees no error at all";
}

TEST_F(Experts, AreQuantizedAnew) {
    ASSERT_EQ(run("in.safetensors", "first.safetensors", "format = \"fp8\"\n").code, 0);
    const Finished done =
        run("first.safetensors", "out.safetensors", "format = \"fp8\"\nelement = \"e5m2\"\n");
    ASSERT_EQ(done.code, 0) << done.err;
    const Checkpoint out = open("out.safetensors");
    EXPECT_EQ(out.find(stack)->dtype, HT_DTYPE_F8_E5M2);
    expect_stacked(out, ".weight");
    expect_stacked(out, ".weight_scale");
}

TEST_F(Experts, MayShareAScale) {
    std::vector<NewTensor> tensors;
    std::vector<std::byte> codes(experts * 4, std::byte{0x38});  // 1
    codes.back() = std::byte{0x40};                              // 2
    tensors.push_back({stack, HT_DTYPE_F8_E4M3, {experts, 2, 2}, codes});
    const float half = 0.5f;
    tensors.push_back(
        float_tensor("blocks.0.mlp.experts.gate_up.weight_scale", HT_DTYPE_F32, {}, std::span(&half, 1)));
    const std::string text = R"({"format": "float8_e4m3fn", "num_experts": 3})";
    NewTensor marker{"blocks.0.mlp.experts.gate_up.comfy_quant", HT_DTYPE_U8, {text.size()}, {}};
    marker.bytes.resize(text.size());
    std::memcpy(marker.bytes.data(), text.data(), text.size());
    tensors.push_back(marker);
    write_checkpoint(folder_ / "shared.safetensors", tensors);
    const Finished done = halftone({"dequantize", (folder_ / "shared.safetensors").string(), "-o",
                                    (folder_ / "back.safetensors").string(), "--dtype", "f32"});
    ASSERT_EQ(done.code, 0) << done.err;
    const Checkpoint back = open("back.safetensors");
    std::vector<float> values(experts * 4);
    widen(HT_DTYPE_F32, bytes_of(back, stack), values);
    std::vector<float> expected(experts * 4, 0.5f);
    expected.back() = 1;
    EXPECT_EQ(values, expected);
}

TEST_F(Experts, AreKeptWhereNoLoaderTakesTheirStack) {
    const Finished done = run("in.safetensors", "out.safetensors", "format = \"fp8\"\nscaling = \"row\"\n");
    ASSERT_EQ(done.code, 0) << done.err;
    const Checkpoint out = open("out.safetensors");
    EXPECT_EQ(out.find(stack)->dtype, HT_DTYPE_BF16);
    EXPECT_EQ(out.find(single(0))->dtype, HT_DTYPE_F8_E4M3);
    EXPECT_NE((done.out + done.err).find("refused by fp8"), std::string::npos) << done.out << done.err;
}

}  // namespace
}  // namespace halftone::test
