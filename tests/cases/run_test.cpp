// Whole runs of the binary: what goes in, what comes out, what is left behind.

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "core/base/cpu.hpp"
#include "core/base/json.hpp"
#include "core/tensor/convert.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

std::vector<NewTensor> small_model() {
    return {random_tensor("blocks.0.attn.weight", HT_DTYPE_BF16, {192, 320}, 1),
            random_tensor("blocks.0.attn.bias", HT_DTYPE_BF16, {192}, 2),
            random_tensor("blocks.0.mlp.weight", HT_DTYPE_F32, {640, 192}, 3),
            random_tensor("blocks.0.norm.weight", HT_DTYPE_F32, {192}, 4),
            random_tensor("blocks.1.attn.weight", HT_DTYPE_F16, {1200, 320}, 5),
            random_tensor("blocks.1.conv.weight", HT_DTYPE_BF16, {8, 4, 3, 3}, 6),
            random_tensor("embed_tokens.weight", HT_DTYPE_BF16, {512, 192}, 7),
            random_tensor("tiny.weight", HT_DTYPE_F32, {1, 1}, 8),
            {"empty.weight", HT_DTYPE_F32, {0, 4}, {}},
            {"steps", HT_DTYPE_I64, {3}, std::vector<std::byte>(24, std::byte{7})}};
}

class RunTest : public testing::Test {
  protected:
    void SetUp() override {
        write_checkpoint(folder_ / "in.safetensors", small_model(), {{"author", "someone"}});
    }

    // A pipeline for fp8 with more lines at its end.
    std::string pipeline(const std::string& more = {}, const std::string& quantize = {}) {
        const std::filesystem::path path = folder_ / "p.toml";
        write_text(path, "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n" +
                             std::string("[model]\nprofile = \"none\"\n[quantize]\nformat = \"fp8\"\n") +
                             quantize + "\n" + more);
        return path.string();
    }
    Finished run(std::vector<std::string> more = {}, const RunSettings& settings = {}) {
        std::vector<std::string> words = {"run", (folder_ / "p.toml").string()};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words, settings);
    }
    std::string out() { return file_text(folder_ / "out.safetensors"); }

    TemporaryFolder folder_;
};

std::vector<float> values_of(const Checkpoint& checkpoint, const std::string& name) {
    const Tensor* tensor = checkpoint.find(name);
    EXPECT_NE(tensor, nullptr) << name;
    const std::vector<std::byte> bytes = checkpoint.read_all(*tensor);
    std::vector<float> values(element_count(tensor->shape).value());
    widen(tensor->dtype, bytes, values);
    return values;
}

TEST_F(RunTest, QuantizesMatricesAndCopiesTheRest) {
    pipeline();
    const Finished finished = run();
    ASSERT_EQ(finished.code, 0) << finished.err;
    const Checkpoint before = Checkpoint::open(folder_ / "in.safetensors");
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");

    for (const char* layer : {"blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "tiny"}) {
        const std::string name = std::string(layer) + ".weight";
        EXPECT_EQ(after.find(name)->dtype, HT_DTYPE_F8_E4M3);
        EXPECT_EQ(after.find(name)->shape, before.find(name)->shape);
        const std::vector<float> scale = values_of(after, std::string(layer) + ".weight_scale");
        ASSERT_EQ(scale.size(), 1u);
        const std::vector<float> original = values_of(before, name), codes = values_of(after, name);
        double error = 0, power = 0;
        for (size_t i = 0; i < original.size(); ++i) {
            error += std::pow(original[i] - codes[i] * scale[0], 2);
            power += std::pow(original[i], 2);
        }
        EXPECT_LT(error / power, 1e-3) << name;
        const std::vector<std::byte> marker =
            after.read_all(*after.find(std::string(layer) + ".comfy_quant"));
        EXPECT_EQ(std::string(reinterpret_cast<const char*>(marker.data()), marker.size()),
                  R"({"format": "float8_e4m3fn"})");
    }
    for (const char* name : {"blocks.0.attn.bias", "blocks.0.norm.weight", "blocks.1.conv.weight",
                             "embed_tokens.weight", "steps", "empty.weight"}) {
        ASSERT_NE(after.find(name), nullptr) << name;
        EXPECT_EQ(after.find(name)->dtype, before.find(name)->dtype) << name;
        EXPECT_EQ(after.read_all(*after.find(name)), before.read_all(*before.find(name))) << name;
    }
    EXPECT_NE(finished.out.find("4 quantized"), std::string::npos) << finished.out;
    EXPECT_EQ(names_in(folder_.path()),
              (std::vector<std::string>{"in.safetensors", "out.safetensors", "p.toml"}));
}

TEST_F(RunTest, BytesDependNeitherOnThreadsNorMemoryNorInstructionSet) {
    for (const char* scaling : {"tensor", "row"}) {
        pipeline("", "scaling = \"" + std::string(scaling) + "\"\n");
        ASSERT_EQ(run({"--force", "--threads", "1"}).code, 0);
        const std::string reference = out();
        for (const char* threads : {"2", "8"}) {
            ASSERT_EQ(run({"--force", "--threads", threads}).code, 0);
            EXPECT_TRUE(out() == reference) << threads << " threads";
        }
        for (const char* memory : {"64MiB", "1GiB"}) {
            ASSERT_EQ(run({"--force", "--memory", memory}).code, 0);
            EXPECT_TRUE(out() == reference) << memory;
        }
        for (ht_cpu level : cpu::available()) {
            ASSERT_EQ(
                run({"--force"}, {.environment = {{"HALFTONE_CPU", cpu::name(level)}}, .meanwhile = {}}).code,
                0);
            EXPECT_TRUE(out() == reference) << cpu::name(level);
        }
    }
}

TEST_F(RunTest, AForcedInstructionSetThatTheMachineLacksIsAnError) {
    pipeline();
    const Finished finished = run({}, {.environment = {{"HALFTONE_CPU", "sse9"}}, .meanwhile = {}});
    EXPECT_EQ(finished.code, 2);
    EXPECT_NE(finished.err.find("sse9"), std::string::npos) << finished.err;
}

TEST_F(RunTest, KeepsMetadataAndRecordsTheRecipe) {
    pipeline();
    ASSERT_EQ(run().code, 0);
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    std::map<std::string, std::string> metadata(after.metadata().begin(), after.metadata().end());
    EXPECT_EQ(metadata["author"], "someone");
    const Json layers = Json::parse(metadata["_quantization_metadata"])["layers"];
    EXPECT_EQ(layers.size(), 4u);
    EXPECT_EQ(layers["blocks.0.attn"]["format"], "float8_e4m3fn");
    EXPECT_EQ(metadata["halftone.recipe"].find(folder_.path().string()), std::string::npos);

    // The recipe alone makes the same bytes again.
    const std::string first = out();
    const Finished recipe = halftone({"inspect", "--recipe", (folder_ / "out.safetensors").string()});
    ASSERT_EQ(recipe.code, 0) << recipe.err;
    write_text(folder_ / "again.toml", recipe.out);
    const Finished again =
        halftone({"run", (folder_ / "again.toml").string(), "-i", (folder_ / "in.safetensors").string(), "-o",
                  (folder_ / "again.safetensors").string()});
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_TRUE(file_text(folder_ / "again.safetensors") == first);
}

TEST_F(RunTest, TheRecipeIsLeftOutOnRequest) {
    pipeline();
    ASSERT_EQ(run({"--no-recipe"}).code, 0);
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    for (const auto& [key, value] : after.metadata())
        EXPECT_FALSE(key.starts_with("halftone.")) << key;
}

TEST_F(RunTest, OneMetadataFormCanBeChosen) {
    for (const char* form : {"tensor", "header"}) {
        pipeline();
        ASSERT_EQ(run({"--force", "--set", "output.metadata=" + std::string(form)}).code, 0);
        const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
        const bool tensor = after.find("blocks.0.attn.comfy_quant") != nullptr;
        const bool header = std::ranges::any_of(
            after.metadata(), [](const auto& entry) { return entry.first == "_quantization_metadata"; });
        EXPECT_EQ(tensor, std::string(form) == "tensor");
        EXPECT_EQ(header, std::string(form) == "header");
    }
}

TEST_F(RunTest, StaleHashesAndEntriesAreDropped) {
    std::vector<NewTensor> tensors = small_model();
    // An empty marker on an unquantized layer, as some tools leave it behind.
    tensors.push_back({"blocks.0.attn.comfy_quant", HT_DTYPE_U8, {0}, {}});
    write_checkpoint(folder_ / "in.safetensors", tensors,
                     {{"sshs_model_hash", "1"}, {"modelspec.hash_sha256", "2"}, {"config", "{}"}});
    pipeline();
    ASSERT_EQ(run().code, 0);
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    bool config = false;
    for (const auto& [key, value] : after.metadata()) {
        EXPECT_NE(key, "sshs_model_hash");
        EXPECT_NE(key, "modelspec.hash_sha256");
        config |= key == "config" && value == "{}";
    }
    EXPECT_TRUE(config);
    EXPECT_GT(after.find("blocks.0.attn.comfy_quant")->bytes, 0u);
}

TEST_F(RunTest, AnExistingOutputIsReplacedOnlyWhenForced) {
    pipeline();
    write_text(folder_ / "out.safetensors", "precious");
    const Finished refused = run();
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("--force"), std::string::npos) << refused.err;
    EXPECT_EQ(out(), "precious");
    EXPECT_EQ(run({"--force"}).code, 0);
    EXPECT_NE(out(), "precious");
}

TEST_F(RunTest, TheOutputIsNeverTheInput) {
    pipeline();
    const std::string before = file_text(folder_ / "in.safetensors");
    std::filesystem::create_hard_link(folder_ / "in.safetensors", folder_ / "out.safetensors");
    const Finished finished = run({"--force"});
    EXPECT_NE(finished.code, 0);
    EXPECT_TRUE(file_text(folder_ / "in.safetensors") == before);
}

TEST_F(RunTest, WithoutAMatrixToQuantizeItSaysWhyAndWritesNothing) {
    write_checkpoint(folder_ / "in.safetensors", {random_tensor("a.bias", HT_DTYPE_F32, {4}, 1)});
    pipeline();
    const Finished finished = run();
    EXPECT_EQ(finished.code, 2);
    EXPECT_NE(finished.err.find("bias"), std::string::npos) << finished.err;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
}

TEST_F(RunTest, NanIsAnErrorThatNamesTensorAndCountUnlessToBeKept) {
    std::vector<NewTensor> tensors = small_model();
    const std::vector<float> bad = {1, std::nanf(""), std::numeric_limits<float>::infinity(), 4};
    tensors.push_back(float_tensor("bad.weight", HT_DTYPE_BF16, {2, 2}, bad));
    write_checkpoint(folder_ / "in.safetensors", tensors);
    pipeline();
    const Finished refused = run();
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("bad.weight: 2 values are NaN or infinite"), std::string::npos) << refused.err;
    EXPECT_EQ(names_in(folder_.path()), (std::vector<std::string>{"in.safetensors", "p.toml"}));

    const Finished kept = run({"--set", "quantize.on_nonfinite=keep"});
    ASSERT_EQ(kept.code, 0) << kept.err;
    EXPECT_EQ(Checkpoint::open(folder_ / "out.safetensors").find("bad.weight")->dtype, HT_DTYPE_BF16);
}

TEST_F(RunTest, ValuesTooLargeToBeRotatedAreAnError) {
    std::vector<float> large(16 * 64);
    for (size_t i = 0; i < large.size(); ++i)
        large[i] = i % 3 ? 3.4e38f : -3.4e38f;
    write_checkpoint(folder_ / "in.safetensors", {float_tensor("a.weight", HT_DTYPE_F32, {16, 64}, large)});
    pipeline();
    const std::vector<std::string> rotated = {"--set", "quantize.format=int8",
                                              "--set", "quantize.scaling=row",
                                              "--set", "quantize.rotation=hadamard"};
    for (const std::vector<std::string>& more :
         {std::vector<std::string>(), {"--set", "quantize.optimizer=integral"}}) {
        std::vector<std::string> words = rotated;
        words.insert(words.end(), more.begin(), more.end());
        const Finished finished = run(words);
        EXPECT_EQ(finished.code, 1);
        EXPECT_NE(finished.err.find("a.weight: its values are so large that"), std::string::npos)
            << finished.err;
        EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
    }
}

TEST_F(RunTest, AFormatThatTakesNoMatrixAtAllIsWarnedOf) {
    pipeline("[[rule]]\nmatch = \"blocks.0.mlp.weight\"\nformat = \"int8\"\nscaling = \"row\"\n");
    EXPECT_EQ(run().err.find("takes none of"), std::string::npos);
    const Finished finished = run({"--force", "--set", "quantize.format=int8", "--set",
                                   "quantize.scaling=block", "--set", "quantize.rotation=hadamard"});
    EXPECT_EQ(finished.code, 0);
    EXPECT_NE(finished.err.find("int8 scaling=block rotation=hadamard takes none of 3 matrices: rotation "
                                "needs scaling = \"row\""),
              std::string::npos)
        << finished.err;
}

TEST_F(RunTest, KeptTensorsCanBeNarrowed) {
    pipeline();
    ASSERT_EQ(run({"--set", "output.kept=bf16"}).code, 0);
    const Checkpoint before = Checkpoint::open(folder_ / "in.safetensors");
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    EXPECT_EQ(after.find("blocks.0.norm.weight")->dtype, HT_DTYPE_BF16);
    EXPECT_EQ(after.find("blocks.0.attn.weight_scale")->dtype, HT_DTYPE_F32);
    EXPECT_EQ(after.find("steps")->dtype, HT_DTYPE_I64);
    const std::vector<float> wide = values_of(before, "blocks.0.norm.weight");
    const std::vector<float> narrow = values_of(after, "blocks.0.norm.weight");
    for (size_t i = 0; i < wide.size(); ++i)
        EXPECT_NEAR(narrow[i], wide[i], std::fabs(wide[i]) / 256);
}

TEST_F(RunTest, NarrowingToHalfRefusesWhatDoesNotFit) {
    std::vector<NewTensor> tensors = small_model();
    const std::vector<float> large = {1e6f};
    tensors.push_back(float_tensor("large.bias", HT_DTYPE_F32, {1}, large));
    write_checkpoint(folder_ / "in.safetensors", tensors);
    pipeline();
    const Finished finished = run({"--set", "output.kept=f16"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_NE(finished.err.find("large.bias"), std::string::npos) << finished.err;
}

TEST_F(RunTest, RulesDecideBeforeEverythingElse) {
    pipeline(R"([[rule]]
match = "blocks.0.*"
action = "keep"
reason = "the first block is sensitive"
[[rule]]
regex = "blocks\\.\\d+\\.attn"
format = "fp8"
scaling = "row"
[[rule]]
match = "steps"
action = "remove"
[[rule]]
match = "nothing.like.it"
action = "keep"
)");
    const Finished finished = run();
    ASSERT_EQ(finished.code, 0) << finished.err;
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    EXPECT_EQ(after.find("blocks.0.attn.weight")->dtype, HT_DTYPE_BF16);
    EXPECT_EQ(after.find("blocks.1.attn.weight_scale")->shape, Shape{1200});
    EXPECT_EQ(after.find("steps"), nullptr);
    EXPECT_NE(finished.err.find("matches no tensor"), std::string::npos) << finished.err;
}

TEST_F(RunTest, EmbeddingsAreQuantizedOnRequest) {
    pipeline("", "embeddings = \"fp8\"\n");
    ASSERT_EQ(run().code, 0);
    EXPECT_EQ(Checkpoint::open(folder_ / "out.safetensors").find("embed_tokens.weight")->dtype,
              HT_DTYPE_F8_E4M3);
}

TEST_F(RunTest, QuantizedLayersStayWithTheirCompanionsWhereARuleKeepsThem) {
    pipeline("[[rule]]\nmatch = \"blocks.0.*\"\naction = \"keep\"\n");
    ASSERT_EQ(run().code, 0);
    std::filesystem::rename(folder_ / "out.safetensors", folder_ / "in.safetensors");
    pipeline("[[rule]]\nmatch = [\"blocks.1.*\", \"tiny*\"]\naction = \"keep\"\n");
    const Finished again = run();
    ASSERT_EQ(again.code, 0) << again.err;
    const Checkpoint before = Checkpoint::open(folder_ / "in.safetensors");
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    for (const char* name :
         {"blocks.1.attn.weight", "blocks.1.attn.weight_scale", "blocks.1.attn.comfy_quant"})
        EXPECT_EQ(after.read_all(*after.find(name)), before.read_all(*before.find(name))) << name;
    std::map<std::string, std::string> metadata(after.metadata().begin(), after.metadata().end());
    EXPECT_EQ(Json::parse(metadata["_quantization_metadata"])["layers"].size(), 4u);

    // The legacy layout cannot stand beside it in one file.
    const Finished mixed = run({"--force", "--set", "output.layout=legacy"});
    EXPECT_EQ(mixed.code, 3) << mixed.err;
    EXPECT_NE(mixed.err.find("layout"), std::string::npos) << mixed.err;
}

TEST_F(RunTest, ARemovedLayerTakesItsCompanionsAlong) {
    pipeline();
    ASSERT_EQ(run().code, 0);
    std::filesystem::rename(folder_ / "out.safetensors", folder_ / "in.safetensors");
    pipeline("[[rule]]\nmatch = \"tiny.weight\"\naction = \"remove\"\n");
    const Finished finished = run({"--set", "quantize.format=keep"});
    ASSERT_EQ(finished.code, 0) << finished.err;
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    for (const Tensor& tensor : after.tensors())
        EXPECT_FALSE(tensor.name.starts_with("tiny.")) << tensor.name;
    EXPECT_NE(after.find("blocks.0.attn.weight_scale"), nullptr);
}

TEST_F(RunTest, PlainEightBitFloatsAreASourceLikeAnyOther) {
    std::vector<std::byte> codes(64 * 64);
    for (size_t i = 0; i < codes.size(); ++i)
        codes[i] = static_cast<std::byte>(i % 0x7f);
    write_checkpoint(folder_ / "in.safetensors", {{"a.weight", HT_DTYPE_F8_E4M3, {64, 64}, codes}});
    pipeline();
    const Finished finished = run();
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_NE(finished.err.find("already 8-bit"), std::string::npos) << finished.err;
}

TEST_F(RunTest, IntegersOfNoKnownLayoutAreKeptWithANote) {
    std::vector<NewTensor> tensors = small_model();
    tensors.push_back({"packed.weight", HT_DTYPE_U8, {4, 4}, std::vector<std::byte>(16, std::byte{1})});
    write_checkpoint(folder_ / "in.safetensors", tensors);
    pipeline();
    const Finished finished = run();
    ASSERT_EQ(finished.code, 0);
    EXPECT_NE(finished.err.find("packed.weight"), std::string::npos) << finished.err;
    EXPECT_EQ(Checkpoint::open(folder_ / "out.safetensors").find("packed.weight")->dtype, HT_DTYPE_U8);
}

TEST_F(RunTest, EveryElementTypeIsCarriedThroughUnchanged) {
    std::vector<NewTensor> tensors = small_model();
    for (ht_dtype dtype = HT_DTYPE_BOOL; dtype <= HT_DTYPE_U64; ++dtype) {
        const Shape shape = {2, 8, 3};  // whole bytes for every width
        std::vector<std::byte> bytes(byte_count(dtype, shape).value());
        for (size_t i = 0; i < bytes.size(); ++i)
            bytes[i] =
                static_cast<std::byte>(dtype == HT_DTYPE_BOOL ? i % 2 : i * 37 + static_cast<size_t>(dtype));
        tensors.push_back({"kept." + std::string(dtype::name(dtype)), dtype, shape, bytes});
    }
    write_checkpoint(folder_ / "in.safetensors", tensors);
    pipeline();
    const Finished finished = run();
    ASSERT_EQ(finished.code, 0) << finished.err;
    const Checkpoint after = Checkpoint::open(folder_ / "out.safetensors");
    size_t compared = 0;
    for (const NewTensor& tensor : tensors) {
        if (!tensor.name.starts_with("kept.")) continue;
        ASSERT_NE(after.find(tensor.name), nullptr) << tensor.name;
        EXPECT_EQ(after.find(tensor.name)->dtype, tensor.dtype) << tensor.name;
        EXPECT_EQ(after.find(tensor.name)->shape, tensor.shape) << tensor.name;
        EXPECT_EQ(after.read_all(*after.find(tensor.name)), tensor.bytes) << tensor.name;
        ++compared;
    }
    EXPECT_EQ(compared, 22u);
}

TEST_F(RunTest, PathsMayHoldAnyCharacters) {
    const std::filesystem::path folder = folder_.path() / u8"gr\u00fc\u00dfe \u6a21\u578b 'quoted'";
    std::filesystem::create_directory(folder);
    std::filesystem::copy(folder_ / "in.safetensors", folder / u8"\u00e4.safetensors");
    pipeline();
    const Finished finished = run(
        {"-i", (folder / u8"\u00e4.safetensors").string(), "-o", (folder / u8"\u00f6.safetensors").string()});
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_TRUE(std::filesystem::exists(folder / u8"\u00f6.safetensors"));
}

TEST_F(RunTest, ShardsInAndOutHoldTheSameTensors) {
    pipeline();
    ASSERT_EQ(run({"--set", "output.shard_size=200KB"}).code, 0);
    const std::vector<std::string> names = names_in(folder_.path());
    EXPECT_GT(names.size(), 4u);
    const std::filesystem::path index = folder_ / "out.safetensors.index.json";
    ASSERT_TRUE(std::filesystem::exists(index));
    const Checkpoint shards = Checkpoint::open(index);

    ASSERT_EQ(run({"-o", (folder_ / "whole.safetensors").string()}).code, 0);
    const Checkpoint whole = Checkpoint::open(folder_ / "whole.safetensors");
    ASSERT_EQ(shards.tensors().size(), whole.tensors().size());
    for (const Tensor& tensor : whole.tensors())
        EXPECT_EQ(shards.read_all(*shards.find(tensor.name)), whole.read_all(tensor)) << tensor.name;

    // Shards are an input like any other: a layer is read from whichever files hold it.
    const Finished again = run({"-i", index.string(), "-o", (folder_ / "again.safetensors").string()});
    EXPECT_EQ(again.code, 0) << again.err;
    const Finished one = run(
        {"-i", (folder_ / "whole.safetensors").string(), "-o", (folder_ / "from-one.safetensors").string()});
    EXPECT_EQ(one.code, 0) << one.err;
    const Checkpoint from_shards = Checkpoint::open(folder_ / "again.safetensors");
    const Checkpoint from_one = Checkpoint::open(folder_ / "from-one.safetensors");
    for (const Tensor& tensor : from_one.tensors())
        EXPECT_EQ(from_shards.read_all(*from_shards.find(tensor.name)), from_one.read_all(tensor))
            << tensor.name;
}

TEST_F(RunTest, TheReportOverwritesNothingOfValueAndIsCheckedBeforeTheRun) {
    pipeline();
    const std::pair<std::string, std::string> wrong[] = {
        {(folder_ / "in.safetensors").string(), "would overwrite the input"},
        {(folder_ / "link.json").string(), "which the run reads"},
        {(folder_ / "p.toml").string(), "which the run reads"},
        {(folder_ / "out.safetensors").string(), "would overwrite the output"},
        {(folder_ / "out.safetensors.index.json").string(), "is the output"},
        {(folder_ / "missing" / "r.json").string(), "a folder that does not exist"},
        {folder_.path().string(), "is a folder"}};
    std::filesystem::create_symlink(folder_ / "in.safetensors", folder_ / "link.json");
    const std::string input = file_text(folder_ / "in.safetensors");
    for (const auto& [path, words] : wrong) {
        const Finished finished = run({"--set", "report.json=\"" + path + "\""});
        EXPECT_EQ(finished.code, 2) << path << finished.err;
        EXPECT_NE(finished.err.find(words), std::string::npos) << finished.err;
        EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
    }
    EXPECT_TRUE(file_text(folder_ / "in.safetensors") == input);
    EXPECT_EQ(run({"--set", "report.json=\"" + (folder_ / "r.json").string() + "\""}).code, 0);
    EXPECT_FALSE(Json::parse(file_text(folder_ / "r.json"), nullptr, false).is_discarded());
}

TEST_F(RunTest, AWordTooManyIsAnError) {
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{"plugins", "list", "more"},
                                               {"version", "more"},
                                               {"help", "run", "more"},
                                               {"inspect", "a", "b"}}) {
        const Finished finished = halftone(words);
        EXPECT_EQ(finished.code, 2) << words[0];
        EXPECT_NE(finished.err.find("too many"), std::string::npos) << finished.err;
    }
    EXPECT_EQ(halftone({"version", "--help"}).code, 0);
}

TEST_F(RunTest, DryRunAndPlanAgreeAndTouchNothing) {
    pipeline();
    const Finished dry = run({"--dry-run", "--json"});
    const Finished plan = halftone({"plan", (folder_ / "p.toml").string(), "--json"});
    ASSERT_EQ(dry.code, 0) << dry.err;
    EXPECT_EQ(dry.out, plan.out);
    const Json json = Json::parse(plan.out);
    EXPECT_EQ(json["totals"]["quantized"], 4);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));

    ASSERT_EQ(run().code, 0);
    EXPECT_EQ(json["totals"]["output_bytes"], std::filesystem::file_size(folder_ / "out.safetensors"));
}

TEST_F(RunTest, AMissingInputIsNamedWithItsPlaceInThePipeline) {
    pipeline();
    std::filesystem::remove(folder_ / "in.safetensors");
    const Finished finished = run();
    EXPECT_EQ(finished.code, 3);
    EXPECT_NE(finished.err.find("p.toml:2:"), std::string::npos) << finished.err;
    EXPECT_NE(finished.err.find("in.safetensors"), std::string::npos) << finished.err;
}

TEST_F(RunTest, LogLinesAreJsonOnRequest) {
    pipeline();
    const Finished finished = run({"--log", "json", "--set", "rule=[]"});
    std::istringstream lines(finished.err);
    size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count)
        EXPECT_TRUE(Json::accept(line)) << line;
    EXPECT_GT(count, 0u);
}

}  // namespace
}  // namespace halftone::test
