// Opening a library runs its code. What a file does not point to stays closed, where something else can read
// it.

#include <gtest/gtest.h>

#include "tests/cases/check.hpp"

namespace halftone::test {
namespace {

class UnneededPlugins : public Check {
  protected:
    Finished with(std::vector<std::string> words) {
        words.insert(words.end(), {"--plugin-dir", HALFTONE_UNNEEDED_PLUGINS});
        return halftone(words);
    }
    void expect_every_command_to_work(const std::string& file) {
        const std::string in = (folder_ / file).string(), out = (folder_ / "out.safetensors").string(),
                          plain = (folder_ / "plain.safetensors").string();
        write_text(folder_ / "again.toml",
                   "[input]\npath = \"" + file +
                       "\"\n[output]\npath = \"out.safetensors\"\nreplace = true\n"
                       "[model]\nprofile = \"none\"\n[quantize]\nformat = \"int8\"\n");
        const std::vector<std::string> commands[] = {{"verify", in},
                                                     {"check", in, "--for", "comfyui"},
                                                     {"dequantize", in, "-f", "-o", out},
                                                     {"compare", plain, in},
                                                     {"run", (folder_ / "again.toml").string()},
                                                     {"run", (folder_ / "again.toml").string(), "--verify"}};
        for (const auto& command : commands) {
            const Finished finished = with(command);
            EXPECT_LE(finished.code, 1) << file << ": " << command[0] << finished.err;  // check may refuse
            EXPECT_NE(finished.code, command[0] == "check" ? -1 : 1)
                << command[0] << finished.out << finished.err;
        }
    }
};

TEST_F(UnneededPlugins, StayClosed) {
    for (const std::string format : {"fp8", "int8", "nvfp4", "mxfp8", "nf4"}) {
        run("format = \"" + format + "\"\n");
        expect_every_command_to_work("in.safetensors");
    }
    run("format = \"fp8\"\n", "layout = \"legacy\"\n");
    expect_every_command_to_work("in.safetensors");
    run("format = \"nf4\"\n", "layout = \"bitsandbytes\"\n");
    expect_every_command_to_work("in.safetensors");
    EXPECT_EQ(with({"plugins", "info", "fp8"}).code, 0);
}

TEST_F(UnneededPlugins, AreOpenedForWhatNothingElseCanRead) {
    write({zeros("a.weight", HT_DTYPE_U8, {2, 2}), marker("a", R"({"format": "acme.ends"})")});
    const Finished finished = with({"verify", (folder_ / "in.safetensors").string()});
    if (sanitized) GTEST_SKIP() << "the sanitizer's _exit() is found first";
    EXPECT_EQ(finished.code, 4);
    EXPECT_NE(finished.err.find("format 'acme.ends' ("), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace halftone::test
