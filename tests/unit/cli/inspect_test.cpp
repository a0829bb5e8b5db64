#include "core/cli/inspect.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

#include "core/base/json.hpp"
#include "tests/unit/base/temporary_folder.hpp"
#include "tests/unit/checkpoint/written.hpp"
#include "tests/unit/cli/command_run.hpp"

namespace halftone::cli {
namespace {

using testing_checkpoints::tensor;
using testing_checkpoints::write;

Ran inspect(std::vector<std::string> arguments, int width = 0) {
    return run(inspect_command(), arguments, width);
}

Json inspect_json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Ran ran = inspect(arguments);
    EXPECT_EQ(ran.code, 0) << ran.error;
    return Json::parse(ran.out);
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

size_t longest_line(const std::string& text) {
    size_t longest = 0, start = 0;
    for (size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1)
        longest = std::max(longest, end - start);
    return longest;
}

const std::string long_name =
    "model.diffusion_model.transformer.double_blocks.17.image_stream.attention.projection.weight";

std::vector<OutputTensor> plain_tensors() {
    return {tensor("a.weight", HT_DTYPE_BF16, {64, 32}), tensor("a.bias", HT_DTYPE_F32, {64}),
            tensor("b.weight", HT_DTYPE_BF16, {16, 64}), tensor("step", HT_DTYPE_I64, {}),
            tensor(long_name, HT_DTYPE_F16, {8, 8})};
}

TEST(Inspect, PrintsEveryTensorAndTotals) {
    const TemporaryFolder folder;
    const std::string path = write(folder.path() / "m.safetensors", plain_tensors());
    const Ran ran = inspect({path});
    EXPECT_EQ(ran.code, 0) << ran.error;
    for (const char* part : {"a.weight", "BF16", "[64, 32]", "4 KiB", "scalar", "5 tensors",
                             "quantization: none found", "metadata: none"})
        EXPECT_TRUE(contains(ran.out, part)) << part << "\n" << ran.out;
    // BF16: 64*32 + 16*64 elements.
    EXPECT_TRUE(contains(ran.out, "3,072")) << ran.out;
    EXPECT_EQ(ran.out.find('\x1b'), std::string::npos);
}

TEST(Inspect, CutsLongNamesOnATerminalOnly) {
    const TemporaryFolder folder;
    const std::string path = write(folder.path() / "m", plain_tensors());
    EXPECT_TRUE(contains(inspect({path}).out, long_name));
    const Ran narrow = inspect({path, "--filter", "*weight"}, 70);
    EXPECT_FALSE(contains(narrow.out, long_name)) << narrow.out;
    EXPECT_TRUE(contains(narrow.out, "projection.weight")) << narrow.out;
    // The table alone: the path below it is as long as it is.
    EXPECT_LE(longest_line(narrow.out.substr(0, narrow.out.find("\n\n"))), 70U + std::string("…").size());
}

TEST(Inspect, JsonTellsExactlyWhatTheFileHolds) {
    const TemporaryFolder folder;
    std::mt19937_64 random(3);
    for (int round = 0; round < 20; ++round) {
        const std::vector<OutputTensor> tensors =
            testing_checkpoints::random_tensors(random, 1 + random() % 12);
        const std::string path = write(folder.path() / "m", tensors, {{"k\n", "v\x7F"}});
        const Json json = inspect_json({path});
        const Checkpoint checkpoint = Checkpoint::open(path);
        EXPECT_EQ(json["path"], path);
        EXPECT_EQ(json["metadata"], (Json{{"k\n", "v\x7F"}}));
        ASSERT_EQ(json["tensors"].size(), checkpoint.tensors().size());
        uint64_t bytes = 0;
        for (size_t i = 0; i < checkpoint.tensors().size(); ++i) {
            const Tensor& expected = checkpoint.tensors()[i];
            const Json& found = json["tensors"][i];
            EXPECT_EQ(found["name"], expected.name);
            EXPECT_EQ(found["dtype"], std::string(dtype::name(expected.dtype)));
            EXPECT_EQ(found["shape"], Json(expected.shape));
            EXPECT_EQ(found["bytes"], expected.bytes);
            EXPECT_EQ(found["offset"], expected.offset);
            bytes += expected.bytes;
        }
        EXPECT_EQ(json["all"]["bytes"], bytes);
        EXPECT_EQ(json["shown"], json["all"]);
        EXPECT_EQ(json["files"][0]["bytes"], std::filesystem::file_size(path));
        uint64_t by_dtype = 0, count = 0;
        for (const auto& [name, row] : json["by_dtype"].items()) {
            by_dtype += row["bytes"].get<uint64_t>();
            count += row["tensors"].get<uint64_t>();
        }
        EXPECT_EQ(by_dtype, bytes);
        EXPECT_EQ(count, checkpoint.tensors().size());
    }
}

TEST(Inspect, JsonHasItsKeysInAFixedOrder) {
    const TemporaryFolder folder;
    const Json json = inspect_json({write(folder.path() / "m", plain_tensors())});
    std::vector<std::string> keys;
    for (const auto& [key, value] : json.items())
        keys.push_back(key);
    EXPECT_EQ(keys, (std::vector<std::string>{"path", "files", "all", "shown", "by_dtype", "quantization",
                                              "metadata", "remarks", "tensors"}));
}

TEST(Inspect, FiltersAndSorts) {
    const TemporaryFolder folder;
    const std::string path = write(folder.path() / "m", plain_tensors());
    const auto names = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), path);
        std::vector<std::string> result;
        const Json json = inspect_json(arguments);
        for (const Json& row : json["tensors"])
            result.push_back(row["name"]);
        return result;
    };
    EXPECT_EQ(names({"--filter", "?.weight"}), (std::vector<std::string>{"a.weight", "b.weight"}));
    EXPECT_EQ(names({"--filter", "none*"}), std::vector<std::string>());
    EXPECT_EQ(names({"--sort", "size"}),
              (std::vector<std::string>{"a.weight", "b.weight", "a.bias", long_name, "step"}));
    EXPECT_TRUE(std::ranges::is_sorted(names({"--sort", "name"})));

    const Json json = inspect_json({path, "--filter", "a.*"});
    EXPECT_EQ(json["all"]["tensors"], 5);
    EXPECT_EQ(json["shown"]["tensors"], 2);
    EXPECT_EQ(json["shown"]["bytes"], 64 * 32 * 2 + 64 * 4);
    EXPECT_TRUE(contains(inspect({path, "--filter", "a.*"}).out, "of all 5 tensors"));
    EXPECT_EQ(inspect({path, "--filter", "none*"}).code, 0);
}

TEST(Inspect, ShowsTheFilesOfAShardedCheckpoint) {
    const TemporaryFolder folder;
    const std::string index =
        write(folder.path() / "m.safetensors", plain_tensors(), {{"format", "pt"}}, {}, 3000);
    for (const std::string& given : {index, folder.path().string()}) {
        const Ran ran = inspect({given});
        EXPECT_EQ(ran.code, 0) << ran.error;
        EXPECT_TRUE(contains(ran.out, "m-00001-of-0000")) << ran.out;
        EXPECT_TRUE(contains(ran.out, "m-00002-of-0000")) << ran.out;
        const Json json = inspect_json({given});
        EXPECT_GT(json["files"].size(), 1U);
        uint64_t tensors = 0;
        for (const Json& file : json["files"])
            tensors += file["tensors"].get<uint64_t>();
        EXPECT_EQ(tensors, json["all"]["tensors"]);
        for (const Json& row : json["tensors"])
            EXPECT_LT(row["file"].get<size_t>(), json["files"].size());
    }
}

std::vector<OutputTensor> quantized_tensors(size_t marker_bytes) {
    return {
        tensor("x.weight", HT_DTYPE_F8_E4M3, {16, 16}),       tensor("x.weight_scale", HT_DTYPE_F32, {}),
        tensor("x.comfy_quant", HT_DTYPE_U8, {marker_bytes}), tensor("y.weight", HT_DTYPE_F8_E4M3, {16, 16}),
        tensor("y.weight_scale", HT_DTYPE_F32, {}),           tensor("z.weight", HT_DTYPE_BF16, {16, 16})};
}

TEST(Inspect, TellsWhatWasQuantizedAndHowOneCanTell) {
    const TemporaryFolder folder;
    const std::string marker = R"({"format": "float8_e4m3fn"})";
    const std::string path =
        write(folder.path() / "m", quantized_tensors(marker.size()), {}, {{"x.comfy_quant", marker}});
    const Ran ran = inspect({path});
    EXPECT_TRUE(contains(ran.out, "quantization: 2 layers")) << ran.out;
    EXPECT_TRUE(contains(ran.out, "1 as float8_e4m3fn, for example by x.comfy_quant")) << ran.out;
    EXPECT_TRUE(contains(ran.out, "1 as something that the file does not name")) << ran.out;
    const Json layers = inspect_json({path})["quantization"]["layers"];
    ASSERT_EQ(layers.size(), 2U);
    EXPECT_EQ(layers[0]["name"], "x");
    EXPECT_EQ(layers[0]["label"], "float8_e4m3fn");
    EXPECT_EQ(layers[1]["name"], "y");
    EXPECT_EQ(layers[1]["label"], "");
}

TEST(Inspect, ABrokenQuantizationEntryHidesNothingElse) {
    const TemporaryFolder folder;
    const std::string path =
        write(folder.path() / "m", plain_tensors(), {{"_quantization_metadata", "{\"layers\": "}});
    const Ran ran = inspect({path});
    EXPECT_EQ(ran.code, 0) << ran.error;
    EXPECT_TRUE(contains(ran.out, "quantization: cannot be told")) << ran.out;
    EXPECT_TRUE(contains(ran.out, "a.weight"));
    EXPECT_FALSE(inspect_json({path})["quantization"]["problem"].get<std::string>().empty());
}

TEST(Inspect, CutsLongMetadataUnlessAskedForAll) {
    const TemporaryFolder folder;
    const std::string value = "begin " + std::string(5000, 'x') + " end";
    const std::string path = write(folder.path() / "m", plain_tensors(), {{"long", value}, {"short", "yes"}});
    const Ran cut = inspect({path}), whole = inspect({path, "--metadata"});
    EXPECT_TRUE(contains(cut.out, "(5,010 bytes; --metadata prints all)")) << cut.out;
    EXPECT_FALSE(contains(cut.out, value));
    EXPECT_TRUE(contains(cut.out, "short: yes"));
    EXPECT_TRUE(contains(whole.out, "long: " + value));
    EXPECT_EQ(inspect_json({path})["metadata"]["long"], value);
}

TEST(Inspect, PrintsTheRecipeWithTheSameMeaning) {
    const TemporaryFolder folder;
    const std::string recipe = "[quantize]\nformat = \"keep\"  # \x01 é\n\n";
    const std::string path = write(folder.path() / "m", plain_tensors(), {{"halftone.recipe", recipe}});
    const std::string shown = "[quantize]\nformat = \"keep\"  # \\u0001 é\n\n";
    EXPECT_EQ(inspect({path, "--recipe"}).out, shown);
    EXPECT_EQ(inspect({path, "--recipe"}, 80).out, shown) << "on a terminal";

    const Ran without = inspect({write(folder.path() / "n", plain_tensors()), "--recipe"});
    EXPECT_EQ(without.code, 3);
    EXPECT_EQ(without.out, "");
    EXPECT_TRUE(contains(without.error, "no recipe")) << without.error;
    EXPECT_EQ(inspect({path, "--recipe", "--json"}).code, 2);
}

TEST(Inspect, HostileNamesCannotSteerATerminal) {
    const TemporaryFolder folder;
    const std::string hostile = "evil\x1b[2J\r\n\xE2\x80\xAE.weight";
    const std::string path =
        write(folder.path() / "m",
              {tensor(hostile, HT_DTYPE_F8_E4M3, {4, 4}), tensor(hostile + "_scale", HT_DTYPE_F32, {}),
               tensor("\xE2\x80\xAE.comfy_quant", HT_DTYPE_U8, {3}),
               tensor("\xE2\x80\xAE.weight", HT_DTYPE_U8, {2, 2})},
              {{"key\x1b]0;t\x07", "value\x1b[31m\n\x1b[2J"}});
    for (const int width : {0, 60})
        for (const bool whole : {false, true}) {
            const Ran ran =
                inspect(whole ? std::vector<std::string>{path, "--metadata"} : std::vector{path}, width);
            EXPECT_EQ(ran.code, 0) << ran.error;
            for (const char c : ran.out)
                EXPECT_TRUE(c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F)) << int(c);
            EXPECT_FALSE(contains(ran.out, "\xE2\x80\xAE"));
        }
    const Ran json = inspect({path, "--json"});
    for (const char c : json.out)
        EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7F)) << int(c);
    const Json tensors = Json::parse(json.out)["tensors"];
    EXPECT_TRUE(std::ranges::any_of(tensors, [&](const Json& row) { return row["name"] == hostile; }));
}

TEST(Inspect, MistakesAreNamed) {
    const TemporaryFolder folder;
    const std::string path = write(folder.path() / "m", plain_tensors());
    EXPECT_EQ(inspect({}).code, 2);
    EXPECT_EQ(inspect({path, "--filter", "[a"}).code, 2);
    EXPECT_TRUE(contains(inspect({path, "--sort", "sise"}).error, "did you mean 'size'"));
    EXPECT_TRUE(contains(inspect({path, "--jsn"}).error, "did you mean '--json'"));
    EXPECT_EQ(inspect({folder.path() / "missing"}).code, 3);
    EXPECT_EQ(inspect({folder.write("broken", "not a checkpoint")}).code, 3);
    EXPECT_EQ(inspect({"--help"}).code, 0);
}

}  // namespace
}  // namespace halftone::cli
