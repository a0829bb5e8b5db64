// A plugin that is wanted, is there and cannot be used ends a run. One that nobody wants does no harm.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

namespace fs = std::filesystem;

class BrokenPlugins : public testing::Test {
  protected:
    void SetUp() override {
        fs::create_directory(plugins);
        ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
        ASSERT_EQ(::chmod(plugins.c_str(), 0755), 0);
        write_checkpoint(folder / "in.safetensors",
                         {random_tensor("a.attn.weight", HT_DTYPE_BF16, {96, 160}, 1)});
        write_text(
            folder / "p.toml",
            "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\nreplace = true\n"
            "[quantize]\nformat = \"fp8\"\n");
    }
    void put(const std::string& name, const std::string& bytes, mode_t mode = 0644) const {
        write_text(plugins / name, bytes);
        ASSERT_EQ(::chmod((plugins / name).c_str(), mode), 0);
    }
    Finished run(const std::vector<std::string>& more = {}) const {
        std::vector<std::string> words = {"run", (folder / "p.toml").string(), "--plugin-dir",
                                          plugins.string()};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }
    // It ends before anything is written.
    void expect_refused(const Finished& finished, const std::string& name, const std::string& reason) const {
        EXPECT_EQ(finished.code, 4) << finished.err;
        EXPECT_NE(finished.err.find("error: " + (plugins / name).string()), std::string::npos)
            << finished.err;
        EXPECT_NE(finished.err.find(reason), std::string::npos) << finished.err;
        EXPECT_FALSE(fs::exists(folder / "out.safetensors"));
    }

    TemporaryFolder folder;
    const fs::path plugins = folder / "plugins";
};

TEST_F(BrokenPlugins, ThatMightBeTheProfileEndARun) {
    put("model-mine.so", "garbage");
    expect_refused(run(), "model-mine.so", "not a shared library");
    EXPECT_EQ(run({"--set", "model.profile=none"}).code, 0) << "no profile is wanted";
    fs::remove(folder / "out.safetensors");

    put("model-mine.so", "");
    expect_refused(run(), "model-mine.so", "not a shared library");
    put("model-mine.so", "garbage", 0666);
    expect_refused(run(), "model-mine.so", "others may write to this file");
    fs::remove(plugins / "model-mine.so");
    fs::create_symlink("nowhere", plugins / "model-mine.so");
    expect_refused(run(), "model-mine.so", "a link to nothing");
    fs::remove(plugins / "model-mine.so");
    EXPECT_EQ(run().code, 0);
}

TEST_F(BrokenPlugins, CutOffAnywhereEndARun) {
    const fs::path bundled = fs::path(HALFTONE_BINARY).parent_path().parent_path() / "lib/halftone/plugins";
    const std::string whole = file_text(bundled / "format-fp8.so");
    for (const size_t length : {size_t{64}, whole.size() / 4, whole.size() / 2, whole.size() - 1000}) {
        put("format-fp8.so", whole.substr(0, length));
        const Finished finished = run();
        EXPECT_EQ(finished.code, 4) << length << ": " << finished.err;
        EXPECT_NE(finished.err.find((plugins / "format-fp8.so").string()), std::string::npos) << finished.err;
    }
    put("format-fp8.so", whole);
    EXPECT_EQ(run().code, 0) << "the whole of it is loaded from there";
}

TEST_F(BrokenPlugins, OfOtherKindsDoNoHarmAndAreListed) {
    put("optimizer-mine.so", "garbage");
    put("device-mine.so", "garbage", 0666);
    put("format-mine.so", "garbage", 0666);
    EXPECT_EQ(run().code, 0);
    const Finished listed = halftone({"plugins", "list", "--json", "--plugin-dir", plugins.string()});
    EXPECT_EQ(listed.code, 0) << listed.err;
    int broken = 0;
    const Json all = Json::parse(listed.out);
    for (const Json& one : all.at("plugins"))
        if (one.at("id") == "mine") broken += one.contains("problem");
    EXPECT_EQ(broken, 3);
}

TEST_F(BrokenPlugins, InAFolderThatCannotBeReadEndARun) {
    fs::create_symlink("loop", folder / "loop");
    const std::vector<std::string> dir = {"--plugin-dir", (folder / "loop").string()};
    Finished finished = run(dir);
    EXPECT_EQ(finished.code, 4) << finished.err;
    EXPECT_NE(finished.err.find("loop: cannot be read"), std::string::npos) << finished.err;
    finished = halftone({"plugins", "list", dir[0], dir[1]});
    EXPECT_EQ(finished.code, 0);
    EXPECT_NE(finished.err.find("loop: cannot be read"), std::string::npos) << finished.err;
}

TEST_F(BrokenPlugins, BelowAFolderThatOthersMayWriteEndARun) {
    put("model-mine.so", "garbage");
    ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
    expect_refused(run(), "model-mine.so",
                   "others may write to a folder above it (" + folder.path().string() + ")");
}

}  // namespace
}  // namespace halftone::test
