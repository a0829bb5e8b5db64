// A run that is killed or interrupted leaves nothing under the output's name.

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "core/checkpoint/writer.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

// A large model that costs no disk: its data are holes, which read as zeros.
void write_sparse_model(const std::filesystem::path& path, uint64_t rows) {
    std::vector<OutputTensor> tensors;
    for (int i = 0; i < 8; ++i)
        tensors.push_back({"blocks." + std::to_string(i) + ".weight", HT_DTYPE_BF16, {rows, 4096}, 0, 0});
    const FileLayout layout = lay_out(std::move(tensors), {});
    std::ofstream(path, std::ios::binary) << layout.header;
    std::filesystem::resize_file(path, layout.size);
}

bool something_is_under_way(const std::filesystem::path& folder) {
    return std::ranges::any_of(
        names_in(folder), [](const std::string& name) { return name.find("partial") != std::string::npos; });
}

class InterruptionTest : public testing::Test {
  protected:
    void SetUp() override {
        write_sparse_model(folder_ / "in.safetensors", 16384);
        write_text(
            folder_ / "p.toml",
            "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n[model]\nprofile = "
            "\"none\"\n[quantize]\nformat = \"fp8\"\n");
    }
    // Sends the signal as soon as the output is under way.
    Finished run_and_send(int signal) {
        return halftone({"run", (folder_ / "p.toml").string(), "--threads", "1"},
                        {.environment = {}, .meanwhile = [&](int process) {
                             while (!something_is_under_way(folder_.path()) && kill(process, 0) == 0 &&
                                    !std::filesystem::exists(folder_ / "out.safetensors"))
                                 usleep(200);
                             kill(process, signal);
                         }});
    }
    TemporaryFolder folder_;
};

TEST_F(InterruptionTest, AKillLeavesNothingUnderTheFinalName) {
    const Finished finished = run_and_send(SIGKILL);
    ASSERT_EQ(finished.signal, SIGKILL) << "the run was over before it could be killed";
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
}

TEST_F(InterruptionTest, AKillKeepsTheOldFile) {
    write_text(folder_ / "out.safetensors", "the old file");
    const Finished finished =
        halftone({"run", (folder_ / "p.toml").string(), "--force", "--threads", "1"},
                 {.environment = {}, .meanwhile = [&](int process) {
                      while (!something_is_under_way(folder_.path()) && kill(process, 0) == 0)
                          usleep(200);
                      kill(process, SIGKILL);
                  }});
    ASSERT_EQ(finished.signal, SIGKILL);
    EXPECT_EQ(file_text(folder_ / "out.safetensors"), "the old file");
}

TEST_F(InterruptionTest, CtrlCCleansUpAndSaysSo) {
    const Finished finished = run_and_send(SIGINT);
    EXPECT_EQ(finished.code, 5) << finished.err;
    EXPECT_NE(finished.err.find("interrupted"), std::string::npos) << finished.err;
    EXPECT_EQ(names_in(folder_.path()), (std::vector<std::string>{"in.safetensors", "p.toml"}));
}

}  // namespace
}  // namespace halftone::test
