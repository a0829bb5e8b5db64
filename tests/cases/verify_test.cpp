// Files that were spoilt on purpose, each found; and runs that read back what they wrote.

#include <cstring>
#include <functional>
#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

class Verify : public testing::Test {
  protected:
    void SetUp() override {
        write_checkpoint(in_, {random_tensor("blocks.0.attn.weight", HT_DTYPE_BF16, {128, 256}, 1),
                               random_tensor("blocks.0.mlp.weight", HT_DTYPE_BF16, {256, 128}, 2),
                               random_tensor("blocks.1.attn.weight", HT_DTYPE_BF16, {128, 256}, 3),
                               random_tensor("blocks.0.norm.weight", HT_DTYPE_F32, {64}, 4),
                               random_tensor("blocks.1.norm.weight", HT_DTYPE_F32, {64}, 5),
                               {"steps", HT_DTYPE_I64, {2}, std::vector<std::byte>(16, std::byte{3})}});
    }

    Finished run(const std::string& quantize = "format = \"fp8\"\nscaling = \"row\"\n",
                 const std::string& more = {}, std::vector<std::string> words = {"--verify"}) {
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n"
                   "replace = true\n[model]\nprofile = \"none\"\n[report]\njson = \"r.json\"\n"
                   "[quantize]\n" +
                       quantize + more);
        words.insert(words.begin(), {"run", (folder_ / "p.toml").string()});
        return halftone(words);
    }
    Finished verify(std::vector<std::string> more = {}) {
        more.insert(more.begin(), {"verify", out_.string()});
        return halftone(more);
    }
    Finished verify_all() {
        return verify({"--against", in_.string(), "--report", (folder_ / "r.json").string()});
    }

    // Writes the output anew with other tensors or metadata.
    using Change = std::function<void(std::vector<NewTensor>&, Metadata&)>;
    void change(const Change& change) {
        std::vector<NewTensor> tensors;
        Metadata metadata;
        {
            const Checkpoint checkpoint = Checkpoint::open(out_);
            metadata = checkpoint.metadata();
            for (const Tensor& tensor : checkpoint.tensors())
                tensors.push_back({tensor.name, tensor.dtype, tensor.shape, checkpoint.read_all(tensor)});
        }
        change(tensors, metadata);
        write_checkpoint(out_, tensors, metadata);
    }
    static NewTensor& named(std::vector<NewTensor>& tensors, const std::string& name) {
        for (NewTensor& tensor : tensors)
            if (tensor.name == name) return tensor;
        throw std::runtime_error("there is no " + name);
    }
    static void set_scale(std::vector<NewTensor>& tensors, const std::string& layer, size_t i, float value) {
        std::memcpy(named(tensors, layer + ".weight_scale").bytes.data() + i * sizeof value, &value,
                    sizeof value);
    }

    void expect_found(const Finished& finished, const std::vector<std::string>& words) {
        EXPECT_EQ(finished.code, 1) << finished.out << finished.err;
        for (const std::string& word : words)
            EXPECT_NE(finished.out.find(word), std::string::npos) << word << " in:\n" << finished.out;
    }

    TemporaryFolder folder_;
    std::filesystem::path in_ = folder_ / "in.safetensors", out_ = folder_ / "out.safetensors";
};

TEST_F(Verify, ASoundFileHasNoFindings) {
    for (const std::string quantize :
         {"format = \"fp8\"\n", "format = \"int8\"\n", "format = \"int8\"\nscaling = \"block\"\n",
          "format = \"nvfp4\"\n", "format = \"nf4\"\n"}) {
        ASSERT_EQ(run(quantize).code, 0) << quantize;
        for (const Finished& finished : {verify(), verify({"--against", in_.string()}), verify_all()}) {
            EXPECT_EQ(finished.code, 0) << quantize << finished.out << finished.err;
            EXPECT_NE(finished.out.find("nothing is wrong"), std::string::npos);
        }
    }
}

TEST_F(Verify, TellsWhatItLookedAt) {
    ASSERT_EQ(run().code, 0);
    const Finished finished =
        verify({"--against", in_.string(), "--report", (folder_ / "r.json").string(), "--json"});
    const Json json = Json::parse(finished.out, nullptr, false);
    EXPECT_EQ(json["findings"], Json::array());
    EXPECT_EQ(json["layers"].size(), 3u);
    EXPECT_EQ(json["copied"], 3);
    EXPECT_EQ(json["converted"], 0);
    EXPECT_EQ(json["recorded"], 3);
    EXPECT_NEAR(json["layers"][0]["sqnr"].get<double>(), 31.5, 0.5);
}

TEST_F(Verify, CastAndRemovedTensorsAreAccountedFor) {
    ASSERT_EQ(run("format = \"fp8\"\n",
                  "[[rule]]\nmatch = \"steps\"\naction = \"remove\"\n"
                  "[[rule]]\nmatch = \"blocks.1.*\"\naction = \"keep\"\n",
                  {"--verify", "--set", "output.kept=\"bf16\""})
                  .code,
              0);
    const Finished finished = verify({"--against", in_.string(), "--json"});
    EXPECT_EQ(finished.code, 0) << finished.out;
    const Json json = Json::parse(finished.out, nullptr, false);
    EXPECT_EQ(json["left_out"], 1);
    EXPECT_EQ(json["converted"], 2);
    EXPECT_EQ(json["copied"], 1);

    // Without its recipe nobody knows why it is gone.
    change([](std::vector<NewTensor>&, Metadata& metadata) {
        std::erase_if(metadata, [](const auto& entry) { return entry.first == "halftone.recipe"; });
    });
    expect_found(verify({"--against", in_.string()}), {"steps: is in the input and not in the output"});
}

TEST_F(Verify, ShardsAndFoldersAreReadAsOne) {
    ASSERT_EQ(run("format = \"fp8\"\n", {}, {"--verify", "--set", "output.shard_size=\"40000\""}).code, 0);
    ASSERT_FALSE(std::filesystem::exists(out_));
    const std::string index = (folder_ / "out.safetensors.index.json").string();
    EXPECT_EQ(halftone({"verify", index, "--against", in_.string()}).code, 0);
    std::filesystem::remove(in_);
    EXPECT_EQ(halftone({"verify", folder_.path().string()}).code, 0);
    std::filesystem::resize_file(folder_ / "out-00002-of-00003.safetensors", 20000);
    expect_found(halftone({"verify", index}), {"out-00002-of-00003.safetensors"});
}

TEST_F(Verify, OneBitOfAScaleIsFound) {
    ASSERT_EQ(run().code, 0);
    change([](auto& tensors, Metadata&) {
        named(tensors, "blocks.0.attn.weight_scale").bytes[4 * 77] ^= std::byte{1};
    });
    // It makes sense, and is almost what it was: only the recorded error tells.
    EXPECT_EQ(verify({"--against", in_.string()}).code, 0);
    expect_found(verify_all(),
                 {"blocks.0.attn.weight: its relative squared error is", "as when it was made"});
}

TEST_F(Verify, OneBitOfACodeIsFound) {
    ASSERT_EQ(run().code, 0);
    change(
        [](auto& tensors, Metadata&) { named(tensors, "blocks.0.mlp.weight").bytes[12345] ^= std::byte{1}; });
    expect_found(verify_all(), {"blocks.0.mlp.weight: its relative squared error is"});
}

TEST_F(Verify, ScalesThatMakeNoSenseAreFoundWithoutTheInput) {
    struct Case {
        float scale;
        const char* words;
    };
    const float infinity = std::numeric_limits<float>::infinity();
    for (const Case& one :
         {Case{-0.01f, "1 of 128 scales are negative; the first is -0.01 at 5"},
          Case{1e-39f, "1 of 128 scales are subnormal"}, Case{infinity, "NaN or infinite"},
          Case{0.0f, "codes that are none of zeros have a scale of 0, the first in row 5"}}) {
        ASSERT_EQ(run().code, 0);
        change([&](auto& tensors, Metadata&) { set_scale(tensors, "blocks.0.attn", 5, one.scale); });
        expect_found(verify(), {"blocks.0.attn.weight", one.words});
    }
}

TEST_F(Verify, AScaleOfZeroOverZerosIsFine) {
    ASSERT_EQ(run().code, 0);
    change([](auto& tensors, Metadata&) {
        set_scale(tensors, "blocks.0.attn", 5, 0);
        std::fill_n(named(tensors, "blocks.0.attn.weight").bytes.begin() + 5 * 256, 256, std::byte{0});
    });
    const Finished finished = verify();
    EXPECT_EQ(finished.code, 0) << finished.out;
}

TEST_F(Verify, WhateverIsLostUnderAScaleOfZeroIsFound) {
    std::vector<float> diagonal(32 * 32), constant(32 * 32);
    for (size_t i = 0; i < 32; ++i) {
        diagonal[i * 33] = 1;
        std::fill_n(constant.begin() + static_cast<std::ptrdiff_t>(i * 32), 32, static_cast<float>(i + 1));
    }
    write_checkpoint(in_, {float_tensor("a.weight", HT_DTYPE_F32, {32, 32}, diagonal),
                           float_tensor("b.weight", HT_DTYPE_F32, {32, 32}, constant)});
    ASSERT_EQ(run("format = \"fp8\"\n").code, 0);
    change([](auto& tensors, Metadata&) {
        set_scale(tensors, "a", 0, 0);
        set_scale(tensors, "b", 0, 0);
    });
    expect_found(verify(), {"a.weight: 32 codes that are none of zeros have a scale of 0, the first in row 0",
                            "b.weight: 1024 codes"});
}

TEST_F(Verify, NamesOfTheOutputCountWhereTheInputHasAPrefix) {
    ASSERT_EQ(run().code, 0);
    const Checkpoint before = Checkpoint::open(in_);
    std::vector<NewTensor> prefixed;
    for (const Tensor& tensor : before.tensors())
        prefixed.push_back(
            {"model.diffusion_model." + tensor.name, tensor.dtype, tensor.shape, before.read_all(tensor)});
    write_checkpoint(folder_ / "prefixed.safetensors", prefixed);
    const std::string input = (folder_ / "prefixed.safetensors").string();
    const Finished whole = verify({"--against", input, "--report", (folder_ / "r.json").string(), "--json"});
    EXPECT_EQ(whole.code, 0) << whole.out << whole.err;
    EXPECT_GT(Json::parse(whole.out)["layers"][0]["relmse"].get<double>(), 1e-4);
    change([](auto& tensors, Metadata&) {
        std::ranges::fill(named(tensors, "blocks.0.attn.weight").bytes, std::byte{0});
    });
    expect_found(verify({"--against", input}), {"  blocks.0.attn.weight: is not what the input holds"});
}

// Whose code for zeros is none of the level 0.
TEST_F(Verify, GroupsOfZerosAreFineWhateverTheirCodes) {
    NewTensor half = random_tensor("blocks.0.attn.weight", HT_DTYPE_BF16, {128, 512}, 7);
    for (size_t row = 0; row < 128; ++row)
        std::fill_n(half.bytes.begin() + static_cast<std::ptrdiff_t>(row * 1024 + 512), 512, std::byte{0});
    write_checkpoint(in_, {half, random_tensor("blocks.0.norm.weight", HT_DTYPE_F32, {64}, 4)});
    for (const std::string format : {"asym_w4a8_int8", "nf4", "nvfp4"}) {
        const Finished made = run("format = \"" + format + "\"\n");
        EXPECT_EQ(made.code, 0) << format << made.err;
        EXPECT_EQ(verify().code, 0) << format;
    }
}

// No weights of a model, but the format's loss, not a mistake of the file.
TEST_F(Verify, WhatAFormatCannotHoldIsToldAndNoFinding) {
    std::vector<float> tiny(128 * 256);
    for (size_t i = 0; i < tiny.size(); ++i)
        tiny[i] = 1e-9f * static_cast<float>(static_cast<int>(i % 7) - 3);
    const NewTensor other = random_tensor("blocks.1.attn.weight", HT_DTYPE_F32, {128, 256}, 3);
    write_checkpoint(in_, {float_tensor("blocks.0.attn.weight", HT_DTYPE_F32, {128, 256}, tiny), other});
    for (const std::string quantize :
         {"format = \"int8\"\nscaling = \"block\"\n", "format = \"cast\"\nto = \"e4m3fn\"\n",
          "format = \"asym_w4a8_int8\"\n"}) {
        SCOPED_TRACE(quantize);
        const Finished made = run(quantize);
        EXPECT_EQ(made.code, 0) << made.err;
        EXPECT_NE(made.err.find("% of it is lost"), std::string::npos) << made.err;
        const Finished again = verify_all();
        EXPECT_EQ(again.code, 0) << again.out;
        EXPECT_NE(again.out.find("worth a look:\n  blocks.0.attn.weight: "), std::string::npos) << again.out;
        change([](auto& tensors, Metadata&) {
            auto& bytes = named(tensors, "blocks.1.attn.weight").bytes;
            std::fill(bytes.begin(), bytes.end(), std::byte{0});
        });
        expect_found(verify({"--against", in_.string()}),
                     {"blocks.1.attn.weight: is not what the input holds"});
    }
}

TEST_F(Verify, CodesThatAreNoNumbersAreFound) {
    ASSERT_EQ(run().code, 0);
    change([](auto& tensors, Metadata&) {
        named(tensors, "blocks.0.attn.weight").bytes[300] = std::byte{0x7F};
    });
    expect_found(verify(),
                 {"blocks.0.attn.weight: 1 decoded values are NaN or infinite, the first in row 1"});
}

TEST_F(Verify, ATruncatedFileIsFound) {
    ASSERT_EQ(run().code, 0);
    std::filesystem::resize_file(out_, std::filesystem::file_size(out_) - 100);
    expect_found(verify(), {"out.safetensors", "1 finding"});
    std::filesystem::resize_file(out_, 5);
    expect_found(verify(), {"out.safetensors"});
    std::filesystem::remove(out_);
    EXPECT_EQ(verify().code, 3) << "a file that is not there is a mistake of the caller";
}

TEST_F(Verify, SwappedTensorsAreFound) {
    ASSERT_EQ(run().code, 0);
    change([](auto& tensors, Metadata&) {
        std::swap(named(tensors, "blocks.0.norm.weight").bytes, named(tensors, "blocks.1.norm.weight").bytes);
        std::swap(named(tensors, "blocks.0.attn.weight").bytes, named(tensors, "blocks.1.attn.weight").bytes);
    });
    EXPECT_EQ(verify().code, 0) << "either could be the other";
    expect_found(
        verify({"--against", in_.string()}),
        {"blocks.0.norm.weight: differs from the input, first at byte 0", "and 1 more: blocks.1.norm.weight",
         "blocks.0.attn.weight: is not what the input holds", "blocks.1.attn.weight: is not"});
    // Scales alone are alike enough for the input, not for the report.
    ASSERT_EQ(run().code, 0);
    change([](auto& tensors, Metadata&) {
        std::swap(named(tensors, "blocks.0.attn.weight_scale").bytes,
                  named(tensors, "blocks.1.attn.weight_scale").bytes);
    });
    expect_found(verify_all(), {"blocks.0.attn.weight: ", "blocks.1.attn.weight: "});
}

TEST_F(Verify, AStaleHeaderEntryIsFound) {
    ASSERT_EQ(run().code, 0);
    const auto in_header = [](Metadata& metadata, const std::string& from, const std::string& to) {
        for (auto& [key, value] : metadata)
            if (key == "_quantization_metadata") value.replace(value.find(from), from.size(), to);
    };
    change([&](auto&, Metadata& metadata) {
        in_header(
            metadata, R"("blocks.0.mlp": {"format": "float8_e4m3fn_rowwise"})",
            R"("blocks.0.mlp": {"format": "float8_e4m3fn_rowwise", "full_precision_matrix_mult": true})");
    });
    expect_found(verify(), {"blocks.0.mlp: the header says", "its .comfy_quant"});
    ASSERT_EQ(run().code, 0);
    change([&](auto&, Metadata& metadata) { in_header(metadata, "blocks.0.mlp", "blocks.9.mlp"); });
    expect_found(verify(),
                 {"blocks.9.mlp: has an entry in the header", "there is no tensor 'blocks.9.mlp.weight'",
                  "blocks.0.mlp: has a .comfy_quant, but no entry in the header"});
}

TEST_F(Verify, AHeaderThatIsNestedWithoutEndIsFound) {
    ASSERT_EQ(run().code, 0);
    change([&](auto&, Metadata& metadata) {
        for (auto& [key, value] : metadata)
            if (key == "_quantization_metadata")
                value.insert(value.rfind("}}"),
                             R"(, "x": )" + std::string(2'000'000, '[') + std::string(2'000'000, ']'));
    });
    expect_found(verify(), {"its '_quantization_metadata' is nested too deeply"});
}

TEST_F(Verify, MissingAndLeftOverCompanionsAreFound) {
    const auto without = [](const std::string& name) {
        return [name](auto& tensors, Metadata&) {
            std::erase_if(tensors, [&](const NewTensor& tensor) { return tensor.name == name; });
        };
    };
    ASSERT_EQ(run().code, 0);
    change(without("blocks.0.attn.weight_scale"));
    expect_found(verify(), {"blocks.0.attn: is quantized", "its weight has no scale"});
    ASSERT_EQ(run().code, 0);
    change(without("blocks.0.attn.comfy_quant"));
    expect_found(verify(), {"blocks.0.attn: has an entry in the header, but no .comfy_quant"});
    ASSERT_EQ(run().code, 0);
    change(without("blocks.0.attn.weight"));
    expect_found(verify({"--against", in_.string()}),
                 {"blocks.0.attn.comfy_quant: belongs to a weight that is not there",
                  "and 1 more: blocks.0.attn.weight_scale",
                  "blocks.0.attn.weight: is in the input and not in the output"});
    ASSERT_EQ(run().code, 0);
    change([](auto& tensors, Metadata&) {
        tensors.push_back(float_tensor("blocks.0.attn.weight_scale_2", HT_DTYPE_F32, {}, std::vector{1.0f}));
    });
    expect_found(verify(), {"blocks.0.attn.weight_scale_2: is not part of fp8 scaling=row"});
    ASSERT_EQ(run("format = \"int8\"\nscaling = \"block\"\n").code, 0);
    change(without("blocks.0.attn.input_scale"));
    expect_found(verify(), {"blocks.0.attn: lacks its .input_scale"});
}

TEST_F(Verify, LostChangedAndUnknownTensorsAreFound) {
    ASSERT_EQ(run().code, 0);
    change([](auto& tensors, Metadata&) {
        std::erase_if(tensors, [](const NewTensor& tensor) { return tensor.name == "steps"; });
        named(tensors, "blocks.1.norm.weight").bytes[9] ^= std::byte{0x10};
        tensors.push_back(random_tensor("new.bias", HT_DTYPE_F32, {3}, 1));
    });
    expect_found(verify({"--against", in_.string()}), {"steps: is in the input and not in the output",
                                                       "blocks.1.norm.weight: differs from the input, "
                                                       "first at byte 9",
                                                       "new.bias: is not in the input", "3 findings"});
}

TEST_F(Verify, ARunThatReadsBackRecordsItsErrors) {
    const Finished finished = run();
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_NE(finished.out.find("read back: "), std::string::npos) << finished.out;
    const Json report = Json::parse(file_text(folder_ / "r.json"), nullptr, false);
    ASSERT_EQ(report["run"]["verified"].size(), 3u);
    EXPECT_NEAR(report["run"]["verified"]["blocks.0.attn.weight"]["relmse"].get<double>(), 7e-4, 1e-4);
    const std::string verified = file_text(out_);
    ASSERT_EQ(run("format = \"fp8\"\nscaling = \"row\"\n", {}, {}).code, 0);
    EXPECT_EQ(file_text(out_), verified) << "reading back changes nothing";
    const Finished unrecorded = verify_all();
    EXPECT_EQ(unrecorded.code, 3);
    EXPECT_NE(unrecorded.err.find("no report of a run that read its output back"), std::string::npos);
}

TEST_F(Verify, ARunWhosePluginStoresSomethingElseGetsNoName) {
    ASSERT_EQ(run().code, 0);
    const std::string before = file_text(out_);
    const Finished finished =
        run("format = \"tiles-tiny-scales\"\n", {}, {"--verify", "--plugin-dir", HALFTONE_FIXTURE_PLUGINS});
    EXPECT_EQ(finished.code, 1) << finished.out;
    EXPECT_NE(finished.err.find("blocks.0.attn.weight_scale: 8192 of 8192 scales are subnormal"),
              std::string::npos)
        << finished.err;
    EXPECT_NE(finished.err.find("nothing was written under this name"), std::string::npos);
    EXPECT_EQ(file_text(out_), before) << "what was there before stays";
    EXPECT_EQ(names_in(folder_.path()),
              (std::vector<std::string>{"in.safetensors", "out.safetensors", "p.toml", "r.json"}));
    EXPECT_EQ(run("format = \"tiles-tiny-scales\"\n", {}, {"--plugin-dir", HALFTONE_FIXTURE_PLUGINS}).code, 0)
        << "who does not read back does not know";
    EXPECT_EQ(halftone({"verify", out_.string(), "--plugin-dir", HALFTONE_FIXTURE_PLUGINS}).code, 1);
}

TEST_F(Verify, TheReportNeedsTheInput) {
    ASSERT_EQ(run().code, 0);
    EXPECT_EQ(verify({"--report", (folder_ / "r.json").string()}).code, 2);
}

}  // namespace
}  // namespace halftone::test
