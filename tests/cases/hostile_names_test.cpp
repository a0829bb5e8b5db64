// Texts from strangers' files, plugins and command lines reach a terminal in every command. Nothing in them
// may steer it, and none of their lines may look like a message of ours.

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <sstream>

#include "core/base/json.hpp"
#include "core/base/utf8.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

// Everything at once: escape, C1 control, direction, zero width, tag, line breaks, carriage return.
const std::string hostile =
    "\x1b]0;t\x07\u009B2J\u202E\u061C\u200B\u2066\uFEFF\U000E0041\r\nerror: forged\n\x7F";
// The same for texts of TOML and JSON.
const std::string escaped =
    R"(\u001b]0;t\u0007\u009b2J\u202e\u061c\u200b\u2066\ufeff\r\nerror: forged\n\u007f)";
const std::string escaped_for_toml = R"(\U000E0041)" + escaped,
                  escaped_for_json = R"(\udb40\udc41)" + escaped;

// Code points and lines that must not be there. Written without the tables of the program. Values of metadata
// keep their lines in what inspect prints, indented.
std::string what_is_wrong_with(std::string_view text, bool messages) {
    size_t at = 0;
    while (at < text.size()) {
        const Utf8Step step = utf8_step(text.substr(at));
        const char32_t c = step.character;
        const bool control = (c < 0x20 && c != '\n') || (c >= 0x7F && c < 0xA0);
        const bool format = c == 0x61C || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
                            (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF || (c >= 0xE0000 && c <= 0xE007F);
        if (!step.valid || control || format)
            return "U+" + std::to_string(static_cast<unsigned>(c)) + " at byte " + std::to_string(at);
        at += step.bytes;
    }
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
        if (messages) line.erase(0, line.find_first_not_of(' '));
        if (line.starts_with("error: forged")) return "a forged line";
    }
    return "";
}

class HostileNames : public testing::Test {
  protected:
    void SetUp() override {
        std::vector<float> odd(64 * 64, 1.0f);
        odd[5] = std::numeric_limits<float>::quiet_NaN();
        input = (folder / "in.safetensors").string();
        write_checkpoint(input,
                         {random_tensor("a" + hostile + ".weight", HT_DTYPE_BF16, {64, 64}, 1),
                          random_tensor("skip" + hostile + ".weight", HT_DTYPE_BF16, {64, 64}, 2),
                          random_tensor("b.weight" + hostile, HT_DTYPE_BF16, {64, 64}, 3)},
                         {{"key" + hostile, "value" + hostile}, {"halftone.recipe", recipe()}});
        nan = (folder / "nan.safetensors").string();
        write_checkpoint(nan, {float_tensor("a" + hostile + ".weight", HT_DTYPE_F32, {64, 64}, odd)});
        const std::string marker =
            R"({"format": "label)" + escaped_for_json + R"(", "other)" + escaped_for_json + R"(": 1})";
        const std::span<const char> text(marker);
        labelled = (folder / "labelled.safetensors").string();
        const auto bytes = std::as_bytes(text);
        write_checkpoint(
            labelled,
            {random_tensor("a" + hostile + ".weight", HT_DTYPE_BF16, {64, 64}, 1),
             random_tensor("a" + hostile + ".weight_scale", HT_DTYPE_F32, {64}, 1),
             NewTensor{
                 "a" + hostile + ".comfy_quant", HT_DTYPE_U8, {marker.size()}, {bytes.begin(), bytes.end()}},
             random_tensor("c" + hostile + ".weight_scale", HT_DTYPE_F32, {64}, 1)});
        pipeline = text_file("p.toml", "[quantize]\nformat = \"fp8\"\nembeddings = \"keep\"\n" + rule());
        output = (folder / ("out" + hostile + ".safetensors")).string();
    }
    static std::string recipe() {
        return "[quantize]\nformat = \"fp8\"\n[[rule]]\nname = \"" + hostile.substr(0, 8) +
               "\"\nmatch = \"*\"\n";
    }
    static std::string rule() {
        return "[[rule]]\nname = \"rule" + escaped_for_toml +
               "\"\nmatch = \"skip*\"\naction = \"keep\"\nreason = \"reason" + escaped_for_toml +
               "\"\n[[rule]]\nname = \"unused" + escaped_for_toml + "\"\nmatch = \"nothing" +
               escaped_for_toml + "*\"\naction = \"keep\"\n";
    }
    std::string text_file(const std::string& name, const std::string& text) const {
        write_text(folder / name, text);
        return (folder / name).string();
    }
    // Runs it plainly and with JSON messages.
    Finished harmless(std::vector<std::string> arguments, int code) {
        Finished plain;
        for (const bool json : {true, false}) {
            std::vector<std::string> all = arguments;
            if (json) all.insert(all.end(), {"--log", "json"});
            plain = halftone(all);
            std::string shown;
            for (const std::string& one : arguments)
                shown += one + " ";
            EXPECT_EQ(plain.code, code) << shown << "\n" << plain.err;
            EXPECT_EQ(what_is_wrong_with(plain.out, false), "") << shown << "\n" << plain.out;
            EXPECT_EQ(what_is_wrong_with(plain.err, true), "") << shown << "\n" << plain.err;
        }
        return plain;
    }

    TemporaryFolder folder;
    std::string input, nan, labelled, pipeline, output;
};

TEST_F(HostileNames, OfTensorsMetadataAndRecipesAreShownByInspect) {
    const Finished text = harmless({"inspect", input, "--metadata"}, 0);
    EXPECT_NE(text.out.find("a\\x1b]0;t"), std::string::npos) << text.out;
    const Finished json = harmless({"inspect", input, "--json"}, 0);
    EXPECT_NE(json.out.find("\\u202e"), std::string::npos);
    EXPECT_EQ(Json::parse(json.out)["metadata"]["key" + hostile], "value" + hostile);
    harmless({"inspect", input, "--recipe"}, 0);
    harmless({"inspect", labelled}, 0);
    harmless({"inspect", labelled, "--json"}, 0);
    harmless({"inspect", input, "--filter", "a" + hostile + "*"}, 0);
    harmless({"inspect", input, "--filter", hostile + "["}, 2);
    harmless({"inspect", (folder / ("none" + hostile)).string()}, 3);
}

TEST_F(HostileNames, StayHarmlessFromPlanToReadingBack) {
    harmless({"plan", pipeline, "-i", input, "-o", output}, 0);
    harmless({"plan", pipeline, "-i", input, "-o", output, "--json"}, 0);
    const Finished ran =
        harmless({"run", pipeline, "-i", input, "-o", output, "--force", "--verify", "-v"}, 0);
    EXPECT_NE(ran.out.find("wrote "), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("reason\\U000e0041"), std::string::npos) << ran.out;
    harmless({"run", pipeline, "-i", input, "-o", output, "--force", "--json"}, 0);
    harmless({"verify", output, "--against", input}, 0);
    harmless({"verify", output, "--against", nan}, 1);
    harmless({"verify", output, "--against", nan, "--json"}, 1);
    harmless({"compare", input, output}, 0);
    harmless({"compare", input, output, "--json"}, 0);
    harmless({"check", output, "--for", "comfyui"}, 0);
    harmless({"check", output, "--for", "comfyui", "--json"}, 0);
    harmless(
        {"dequantize", output, "-o", (folder / ("plain" + hostile + ".safetensors")).string(), "--force"}, 0);

    // The recipe makes the same pipeline again, whatever it holds.
    const Finished recipe = harmless({"inspect", output, "--recipe"}, 0);
    const std::string again = text_file("again.toml", recipe.out);
    const Finished second =
        halftone({"run", again, "-i", input, "-o", (folder / "second.safetensors").string()});
    ASSERT_EQ(second.code, 0) << second.err;
    EXPECT_EQ(file_text(output), file_text(folder / "second.safetensors"));
}

TEST_F(HostileNames, StayHarmlessInErrorsAndFindings) {
    harmless({"run", pipeline, "-i", nan, "-o", output}, 1);
    for (const char* command : {"verify", "dequantize"}) {
        std::vector<std::string> words = {command, labelled};
        if (command == std::string("dequantize")) words.insert(words.end(), {"-o", output});
        harmless(words, command == std::string("verify") ? 1 : 3);
    }
    harmless({"verify", labelled, "--json"}, 1);
    harmless({"compare", labelled, input}, 3);
    harmless({"check", labelled, "--for", "comfyui"}, 1);
    harmless({"check", labelled, "--for", "comfyui", "--json"}, 1);
    harmless({"check", labelled, "--for", hostile}, 2);
    harmless({"run", pipeline, "-i", labelled, "-o", output}, 3);
    const std::string refused =
        text_file("refused.toml",
                  "[quantize]\nformat = \"int8\"\nscaling = \"block\"\non_refusal = \"error\"\n" + rule());
    write_checkpoint(folder / "narrow.safetensors",
                     {random_tensor("a" + hostile + ".weight", HT_DTYPE_BF16, {64, 63}, 1)});
    harmless({"run", refused, "-i", (folder / "narrow.safetensors").string(), "-o", output}, 2);
}

TEST_F(HostileNames, StayHarmlessInPipelinesAndOnTheCommandLine) {
    const auto run = [&](const std::string& text, int code) {
        harmless({"plan", text_file("bad" + hostile + ".toml", text), "-i", input, "-o", output}, code);
    };
    run("[quantize]\nformat = \"" + escaped_for_toml + "\"\n", 2);
    run("[quantize]\nformat = \"fp8\"\n\"key" + escaped_for_toml + "\" = 1\n", 2);
    run("[\"section" + escaped_for_toml + "\"]\n", 2);
    run("[quantize]\nformat = \"fp8\"\n[[rule]]\nname = \"" + escaped_for_toml + "\"\nregex = \"(" +
            escaped_for_toml + "\"\naction = \"keep\"\n",
        2);
    run("[quantize]\nformat = \"fp8\"\n[model]\nprofile = \"" + escaped_for_toml + "\"\n", 2);
    run("broken \x1b[31m\xC2\x9B toml", 2);
    harmless({"plan", pipeline, "--set", hostile + "=1"}, 2);
    harmless({"plan", (folder / hostile).string()}, 2);
    harmless({hostile}, 2);
    harmless({"plugins", "info", hostile}, 2);
    harmless({"plugins", hostile}, 2);
    harmless({"help", hostile}, 2);
    harmless({"run", pipeline, "--" + hostile}, 2);
}

TEST_F(HostileNames, StayHarmlessInMalformedHeaders) {
    const std::string header = R"({"a)" + escaped_for_json + R"(.weight": {"dtype": ")" + escaped_for_json +
                               R"(", "shape": [1], "data_offsets": [0, 1]}})";
    std::string file(8, '\0');
    for (size_t i = 0; i < 8; ++i)
        file[i] = static_cast<char>(header.size() >> (8 * i));
    harmless({"inspect", text_file("bad" + hostile + ".safetensors", file + header + "x")}, 3);
    harmless({"inspect", text_file("raw.safetensors", file + std::string(header.size(), '\x1b') + "x")}, 3);
    const std::string index =
        R"({"weight_map": {"a)" + escaped_for_json + R"(": "shard)" + escaped_for_json + R"("}})";
    harmless({"inspect", text_file("m.safetensors.index.json", index)}, 3);
}

}  // namespace
}  // namespace halftone::test
