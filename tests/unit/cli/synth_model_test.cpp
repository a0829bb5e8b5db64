#include <algorithm>
#include <atomic>
#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <thread>

#include "core/base/os/process.hpp"
#include "core/base/sha256.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/cli/synth/model.hpp"
#include "core/cli/synth/synth_command.hpp"
#include "core/cli/synth/tensor_maker.hpp"
#include "core/tensor/convert.hpp"
#include "tests/unit/base/temporary_folder.hpp"
#include "tests/unit/cli/command_run.hpp"

namespace halftone::synth {
namespace {

ModelChoice choice(std::string_view family, Scale scale = Scale::tiny, unsigned layers = 1) {
    return {find_family(family), scale, layers, HT_DTYPE_BF16, 1};
}

std::vector<std::filesystem::path> write(const ModelChoice& model, const std::filesystem::path& path,
                                         unsigned threads = 2, uint64_t band_bytes = 1U << 20,
                                         uint64_t shard_size = 0) {
    ModelWriter::Settings settings;
    settings.output.path = path;
    settings.output.tag = "test";
    settings.shard_size = shard_size;
    settings.band_bytes = band_bytes;
    Workers workers({.threads = threads, .memory = 0});
    Progress progress;
    return ModelWriter(model, settings).write(workers, progress);
}

std::vector<float> values(const Checkpoint& checkpoint, const Tensor& tensor) {
    std::vector<float> floats(element_count(tensor.shape).value());
    EXPECT_EQ(widen(tensor.dtype, checkpoint.read_all(tensor), floats), 0U) << tensor.name;
    return floats;
}

std::string sha256(const std::string& bytes) {
    Sha256 hash;
    hash.add(std::as_bytes(std::span(bytes)));
    return hash.hex();
}

TEST(SynthModel, BytesDoNotDependOnThreadsOrBands) {
    const TemporaryFolder folder;
    for (const std::string_view family : {"flux", "t5xxl"}) {
        const ModelChoice model = choice(family);
        const std::string first =
            content_of(write(model, folder.path() / (std::string(family) + ".1"), 1).front());
        ASSERT_GT(first.size(), 100'000U);
        for (const unsigned threads : {2U, 8U})
            for (const uint64_t band : {1ULL, 777ULL, 40'000ULL}) {
                const auto path = folder.path() / fmt::format("{}.{}.{}", family, threads, band);
                EXPECT_TRUE(first == content_of(write(model, path, threads, band).front()))
                    << path << " differs";
            }
    }
}

// The same on every machine and with every compiler: what changes these hashes must raise the version in the
// description.
TEST(SynthModel, BytesOfASeedNeverChange) {
    const TemporaryFolder folder;
    ModelChoice model = choice("flux");
    EXPECT_EQ(sha256(content_of(write(model, folder.path() / "bf16").front())),
              "2c51b058c7c72042cc563fda7134b12cd54718e2c67e49c1da54f1aa31a10122");
    model.dtype = HT_DTYPE_F32;
    model.seed = 2;
    EXPECT_EQ(sha256(content_of(write(model, folder.path() / "f32").front())),
              "ef09486da6d45399e14100744ab1b9f1c42f9e4c2a8147fbfb58ea0f696bcb5c");
    EXPECT_EQ(sha256(content_of(write(choice("t5xxl"), folder.path() / "t5xxl").front())),
              "ba69aa154683600d7a53e1671e7d9abcb5af8d44c4194d91637538a433401816");
}

TEST(SynthModel, OtherSeedsMakeOtherNumbersInEveryTensor) {
    const TemporaryFolder folder;
    ModelChoice other = choice("t5xxl");
    other.seed = 2;
    const auto a = Checkpoint::open(write(choice("t5xxl"), folder.path() / "a").front());
    const auto b = Checkpoint::open(write(other, folder.path() / "b").front());
    for (const Tensor& tensor : a.tensors())
        EXPECT_NE(a.read_all(tensor), b.read_all(*b.find(tensor.name))) << tensor.name;
}

TEST(SynthModel, ATensorIsTheSameHoweverManyLayersThereAre) {
    const TemporaryFolder folder;
    const auto small = Checkpoint::open(write(choice("flux"), folder.path() / "small").front());
    const auto large =
        Checkpoint::open(write(choice("flux", Scale::tiny, 2), folder.path() / "large").front());
    EXPECT_GT(large.tensors().size(), small.tensors().size());
    for (const Tensor& tensor : small.tensors())
        EXPECT_EQ(small.read_all(tensor), large.read_all(*large.find(tensor.name))) << tensor.name;
}

TEST(SynthModel, TensorsOfOneShapeDiffer) {
    const TemporaryFolder folder;
    const auto model = Checkpoint::open(write(choice("t5xxl"), folder.path() / "m").front());
    const std::string prefix = "encoder.block.0.layer.0.SelfAttention.";
    EXPECT_NE(model.read_all(*model.find(prefix + "q.weight")),
              model.read_all(*model.find(prefix + "k.weight")));
}

TEST(SynthModel, ShardsHoldTheSameTensors) {
    const TemporaryFolder folder;
    const auto whole = Checkpoint::open(write(choice("flux"), folder.path() / "whole.safetensors").front());
    const auto paths = write(choice("flux"), folder.path() / "cut.safetensors", 2, 1U << 20, 500'000);
    EXPECT_GT(paths.size(), 4U);
    const auto cut = Checkpoint::open(folder.path() / "cut.safetensors.index.json");
    ASSERT_EQ(cut.tensors().size(), whole.tensors().size());
    EXPECT_EQ(cut.files().size(), paths.size() - 1);
    for (const Tensor& tensor : whole.tensors())
        EXPECT_EQ(whole.read_all(tensor), cut.read_all(*cut.find(tensor.name))) << tensor.name;
}

TEST(SynthModel, NormsAreNearOneAndBiasesNearZero) {
    const TemporaryFolder folder;
    for (const std::string_view family : {"flux", "t5xxl"}) {
        const ModelChoice model = choice(family, Scale::small);
        const auto checkpoint = Checkpoint::open(write(model, folder.path() / family).front());
        for (const TensorSpec& spec : model.tensors()) {
            if (spec.kind != Kind::bias && spec.kind != Kind::norm) continue;
            const std::vector<float> all = values(checkpoint, *checkpoint.find(spec.name));
            double sum = 0, squares = 0;
            for (const float x : all) {
                sum += x;
                squares += static_cast<double>(x) * x;
            }
            const double n = static_cast<double>(all.size()), mean = sum / n;
            const double deviation = std::sqrt(squares / n - mean * mean);
            EXPECT_NEAR(mean, spec.kind == Kind::norm ? 1 : 0, 0.1) << spec.name;
            EXPECT_GT(deviation, 0.005) << spec.name;
            EXPECT_LT(deviation, 0.3) << spec.name;
            EXPECT_TRUE(spec.kind != Kind::norm || std::ranges::min(all) > 0) << spec.name;
        }
    }
}

TEST(SynthModel, AnyRowCanBeMadeAlone) {
    const TensorSpec spec{"w", {96, 160}, Kind::matrix};
    const auto maker = tensor_maker(7, spec);
    std::vector<float> work;
    std::vector<std::vector<float>> forward(96, std::vector<float>(160)), backward = forward;
    for (uint64_t row = 0; row < 96; ++row)
        maker->row(row, forward[row], work);
    for (uint64_t row = 96; row-- > 0;)
        tensor_maker(7, spec)->row(row, backward[row], work);
    EXPECT_EQ(forward, backward);
}

TEST(SynthModel, MatricesOfAnyShapeAreMade) {
    for (const Shape& shape :
         {Shape{1, 1}, {1, 500}, {500, 1}, {7, 3}, {33, 1000}, {1000, 33}, {101, 257}, {200, 3}}) {
        const auto maker = tensor_maker(1, {"odd", shape, Kind::matrix});
        std::vector<float> row(shape[1]), work;
        double squares = 0;
        for (uint64_t i = 0; i < shape[0]; ++i) {
            maker->row(i, row, work);
            for (const float x : row) {
                ASSERT_TRUE(std::isfinite(x)) << to_string(shape);
                squares += static_cast<double>(x) * x;
            }
        }
        EXPECT_GT(squares, 0) << to_string(shape);
    }
}

TEST(SynthModel, TheDescriptionInTheFileTellsHowItWasMade) {
    const TemporaryFolder folder;
    ModelChoice model = choice("t5xxl", Scale::tiny, 2);
    model.dtype = HT_DTYPE_F16;
    model.seed = UINT64_MAX;
    const auto checkpoint = Checkpoint::open(write(model, folder.path() / "m").front());
    const auto& metadata = checkpoint.metadata();
    const auto entry = std::ranges::find(metadata, std::string(metadata_key), &Metadata::value_type::first);
    ASSERT_NE(entry, metadata.end());
    EXPECT_EQ(entry->second,
              "family=t5xxl scale=tiny layers=2 dtype=F16 seed=18446744073709551615 version=1");
    const auto parsed = parse_description(entry->second);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(description(*parsed), entry->second);
    EXPECT_EQ(parsed->tensors().size(), checkpoint.tensors().size());
}

TEST(SynthModel, OtherDescriptionsAreNotTakenForOurs) {
    for (const char* text :
         {"", "family", "family=flux", "family=fluks scale=tiny layers=1 dtype=BF16 seed=1 version=1",
          "family=flux scale=tiny layers=-1 dtype=BF16 seed=1 version=1",
          "family=flux scale=tiny layers=1 dtype=BF16 seed=1 version=99",
          "family=flux scale=tiny layers=1 dtype=BF16 seed=01 version=1",
          "family=flux scale=tiny layers=1 dtype=BF16 seed=1 version=1 "})
        EXPECT_FALSE(parse_description(text).has_value()) << text;
}

TEST(SynthModel, MemoryDoesNotGrowWithTheModel) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers have memory of their own";
#endif
    const TemporaryFolder folder;
    const ModelChoice model = choice("flux", Scale::small, 2);
    const uint64_t before = os::anonymous_memory();
    if (before == 0) GTEST_SKIP() << "this system does not tell";
    std::atomic<bool> done = false;
    uint64_t most = 0;
    std::thread watcher([&] {
        while (!done) {
            most = std::max(most, os::anonymous_memory());
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    write(model, folder.path() / "m", 2, 64 << 10);
    done = true;
    watcher.join();
    constexpr uint64_t mebi = 1U << 20;
    ASSERT_GT(std::filesystem::file_size(folder.path() / "m"), 64 * mebi);
    EXPECT_LT(most - std::min(most, before), 16 * mebi);
}

// ------------------------------------------------------------------------------------------- the command

cli::Ran synth(const std::vector<std::string>& arguments) {
    return cli::run(cli::synth_command(), arguments);
}

TEST(SynthCommand, WritesAModelAndDoesNotReplaceOneUnlessForced) {
    const TemporaryFolder folder;
    const std::string path = folder.path() / "m.safetensors";
    const std::vector<std::string> arguments = {"--family", "flux", "--layers", "1",
                                                "--scale",  "tiny", "-o",       path};
    EXPECT_EQ(synth(arguments).code, 0);
    const std::string content = content_of(path);
    EXPECT_EQ(Checkpoint::open(path).tensors().size(), 60U);

    std::vector<std::string> other = arguments;
    other.insert(other.end(), {"--seed", "9"});
    const cli::Ran refused = synth(other);
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.error.find("m.safetensors"), std::string::npos) << refused.error;
    EXPECT_EQ(content_of(path), content);
    other.emplace_back("--force");
    EXPECT_EQ(synth(other).code, 0);
    EXPECT_NE(content_of(path), content);
}

TEST(SynthCommand, MistakesAreUsageErrorsThatHelp) {
    struct Case {
        std::vector<std::string> arguments;
        std::string expected;
    };
    const std::vector<Case> cases = {
        {{"-o", "x"}, "flux, t5xxl"},
        {{"--family", "flix", "-o", "x"}, "did you mean 'flux'"},
        {{"--family", "flux"}, "--output"},
        {{"--family", "flux", "-o", "x", "--layer", "2"}, "did you mean '--layers'"},
        {{"--family", "flux", "-o", "x", "--layers", "0"}, "--layers must be a whole number from 1"},
        {{"--family", "flux", "-o", "x", "--layers", "-3"}, "--layers"},
        {{"--family", "flux", "-o", "x", "--scale", "ful"}, "did you mean 'full'"},
        {{"--family", "flux", "-o", "x", "--dtype", "fp16"}, "did you mean 'f16'"},
        {{"--family", "flux", "-o", "x", "--seed", "one"}, "--seed"},
        {{"--family", "flux", "-o", "x", "--shard-size", "big"}, "--shard-size"},
        {{"--family", "flux", "-o", "x", "y"}, "one operand too many"},
        {{"--describe", "y", "--family", "flux"}, "both a file and a family"},
    };
    for (const Case& one : cases) {
        const cli::Ran ran = synth(one.arguments);
        EXPECT_EQ(ran.code, 2) << ran.error;
        EXPECT_NE((ran.error + ran.advice).find(one.expected), std::string::npos) << ran.error << ran.advice;
    }
}

TEST(SynthCommand, ListsFamiliesAndPrintsItsHelp) {
    const cli::Ran list = synth({"--list"});
    EXPECT_EQ(list.code, 0);
    EXPECT_NE(list.out.find("11,901,408,320"), std::string::npos) << list.out;
    const cli::Ran help = synth({"--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.out.find("--layers"), std::string::npos);
}

TEST(SynthCommand, DescribesAModelThatIsNotMade) {
    const cli::Ran ran = synth({"--describe", "--family", "flux", "--scale", "full", "--layers", "1"});
    EXPECT_EQ(ran.code, 0) << ran.error;
    EXPECT_NE(ran.out.find("single_blocks.1.linear2.weight"), std::string::npos);
    EXPECT_EQ(ran.out.find("bias"), std::string::npos) << "only matrices";
}

TEST(SynthCommand, DescribesAFileAndComparesItWithWhatItsSeedDeclares) {
    const TemporaryFolder folder;
    const std::string path = folder.path() / "m.safetensors";
    ASSERT_EQ(synth({"--family", "t5xxl", "--layers", "1", "-o", path}).code, 0);
    const cli::Ran ran = synth({"--describe", path});
    EXPECT_EQ(ran.code, 0) << ran.error;
    EXPECT_NE(ran.out.find("measured (declared"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("encoder.block.0.layer.0.SelfAttention.q.weight"), std::string::npos);
    EXPECT_EQ(synth({"--describe", folder.path() / "none"}).code, 3);
}

}  // namespace
}  // namespace halftone::synth
