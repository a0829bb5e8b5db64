// Runs that meet other runs, killed ones, closed descriptors and inputs that change: what becomes of the
// output.

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "core/checkpoint/writer.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

mode_t mode_of(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
}

class OutputsTest : public testing::Test {
  protected:
    void SetUp() override {
        for (const std::string name : {"a", "b"})
            write_model(name, name == "a" ? 1 : 2);
        // Takes a while to read and costs no disk: its data are holes.
        std::vector<OutputTensor> tensors;
        for (int i = 0; i < 8; ++i)
            tensors.push_back({"blocks." + std::to_string(i) + ".weight", HT_DTYPE_BF16, {8192, 4096}, 0, 0});
        const FileLayout layout = lay_out(std::move(tensors), {});
        std::ofstream(folder_ / "slow.safetensors", std::ios::binary) << layout.header;
        fs::resize_file(folder_ / "slow.safetensors", layout.size);
    }

    void write_model(const std::string& name, uint64_t seed) {
        std::vector<NewTensor> tensors;
        for (uint64_t i = 0; i < 12; ++i)
            tensors.push_back(random_tensor("blocks." + std::to_string(i) + ".weight", HT_DTYPE_BF16,
                                            {64, 64}, seed * 100 + i));
        write_checkpoint(folder_ / (name + ".safetensors"), tensors);
    }

    std::vector<std::string> words(const std::string& input,
                                   const std::vector<std::string>& more = {}) const {
        const std::string pipeline = (folder_ / (input + ".toml")).string();
        write_text(pipeline, "[input]\npath = \"" + input +
                                 ".safetensors\"\n[output]\npath = \"out/m.safetensors\"\n[model]\nprofile = "
                                 "\"none\"\n[quantize]\nformat = \"fp8\"\n");
        fs::create_directory(folder_ / "out");
        std::vector<std::string> all = {"run", pipeline, "--threads", "1"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    Finished run(const std::string& input, const std::vector<std::string>& more = {},
                 RunSettings settings = {}) {
        return halftone(words(input, more), settings);
    }

    // Calls `act` once the slow run has begun its output.
    Finished slow_run(const std::vector<std::string>& more, const std::function<void(int)>& act,
                      RunSettings settings = {}) {
        settings.meanwhile = [&](int process) {
            const auto begun = [&] {
                return std::ranges::any_of(
                    names(), [](const std::string& name) { return name.ends_with(".partial"); });
            };
            while (!begun() && kill(process, 0) == 0 && !fs::exists(out_ / "m.safetensors"))
                usleep(200);
            act(process);
        };
        return run("slow", more, settings);
    }

    Names names() const { return fs::exists(out_) ? names_in(out_) : Names(); }

    TemporaryFolder folder_;
    const fs::path out_ = folder_ / "out";
};

const Names one_file = {"m.safetensors"};
const std::vector<std::string> sharded = {"--force", "--set", "output.shard_size=5KiB"};

TEST_F(OutputsTest, OnlyOneRunAtATimeWritesAnOutput) {
    for (const std::vector<std::string>& more : {std::vector<std::string>{}, sharded, {"--force"}}) {
        Finished second;
        const Finished first = slow_run(more, [&](int process) {
            second = run("a", more);
            kill(process, SIGINT);
        });
        ASSERT_EQ(first.code, 5) << "the first run was over too soon";
        EXPECT_EQ(second.code, 1) << second.err;
        EXPECT_NE(second.err.find("another run is writing this output"), std::string::npos) << second.err;
        EXPECT_EQ(names(), Names());
        EXPECT_EQ(run("a", more).code, 0);
        fs::remove_all(out_);
    }
}

// Whichever run is refused, the set is never a mixture.
TEST_F(OutputsTest, RunsThatStartTogetherLeaveOneSetOfShards) {
    std::map<std::string, std::string> made[2];
    const auto contents = [&] {
        std::map<std::string, std::string> files;
        for (const std::string& name : names())
            files[name] = file_text(out_ / name);
        return files;
    };
    for (int i = 0; i < 2; ++i) {
        ASSERT_EQ(run(i == 0 ? "a" : "b", sharded).code, 0);
        made[i] = contents();
    }
    ASSERT_EQ(made[0].size(), 13U);
    for (int round = 0; round < 8; ++round) {
        const std::vector<std::string> first = words("a", sharded), second = words("b", sharded);
        Finished one, two;
        std::thread beside([&] { one = halftone(first); });
        two = halftone(second);
        beside.join();
        EXPECT_TRUE(one.code == 0 || two.code == 0) << one.err << two.err;
        const auto now = contents();
        EXPECT_TRUE(now == made[0] || now == made[1]);
    }
}

TEST_F(OutputsTest, TheNextRunRemovesWhatAKilledOneLeft) {
    for (const std::vector<std::string>& more : {std::vector<std::string>{"--force"}, sharded}) {
        fs::remove_all(out_);
        ASSERT_EQ(slow_run(more, [](int process) { kill(process, SIGKILL); }).signal, SIGKILL);
        ASSERT_FALSE(names().empty());
        const Finished finished = run("a", {"--force"});
        EXPECT_EQ(finished.code, 0) << finished.err;
        EXPECT_NE(finished.err.find("removed "), std::string::npos) << finished.err;
        EXPECT_EQ(names(), one_file);
    }
    // Of other names and of another number of shards, too, and of dequantize.
    for (const char* left :
         {".m.safetensors.halftone-.partial", ".m-00002-of-00009.safetensors.halftone--2.partial",
          ".m.safetensors.index.json.halftone-.partial", ".other.safetensors.halftone-.partial"})
        write_text(out_ / left, "left");
    const Finished dequantized = halftone(
        {"dequantize", (out_ / "m.safetensors").string(), "-o", (out_ / "other.safetensors").string()});
    EXPECT_EQ(dequantized.code, 0) << dequantized.err;
    EXPECT_EQ(names(),
              (Names{".m-00002-of-00009.safetensors.halftone--2.partial", ".m.safetensors.halftone-.partial",
                     ".m.safetensors.index.json.halftone-.partial", "m.safetensors", "other.safetensors"}));
    EXPECT_EQ(run("a", {"--force"}).code, 0);
    EXPECT_EQ(names(), (Names{"m.safetensors", "other.safetensors"}));
}

TEST_F(OutputsTest, AFileThatAProcessIsAtWorkOnStays) {
    fs::create_directory(out_);
    const std::string left = ".m.safetensors.halftone-.partial";
    write_text(out_ / left, "somebody is writing this");
    const int file = ::open((out_ / left).c_str(), O_RDWR | O_CLOEXEC);
    const Finished finished = run("a");
    EXPECT_EQ(finished.code, 0) << finished.err;
    EXPECT_NE(finished.err.find("warning: "), std::string::npos) << finished.err;
    EXPECT_EQ(names(), (Names{left, "m.safetensors"}));
    const Finished dequantized = halftone({"dequantize", (out_ / "m.safetensors").string(), "-o",
                                           (out_ / "m.safetensors").string() + "2", "--force"});
    EXPECT_EQ(dequantized.err.find("warning"), std::string::npos) << dequantized.err;
    ::close(file);
}

TEST_F(OutputsTest, ClosedDescriptorsGetNoMessagesIntoTheOutput) {
    ASSERT_EQ(run("a").code, 0);
    const std::string whole = file_text(out_ / "m.safetensors");
    // Held open, so that there is a warning.
    write_text(out_ / ".m.safetensors.halftone-.partial", "");
    const int file = ::open((out_ / ".m.safetensors.halftone-.partial").c_str(), O_RDWR | O_CLOEXEC);
    for (unsigned closed = 1; closed < 8; ++closed) {
        RunSettings settings;
        for (int descriptor = 0; descriptor < 3; ++descriptor)
            if (closed & 1U << descriptor) settings.closed.push_back(descriptor);
        for (const char* style : {"human", "json"}) {
            const Finished finished = run("a", {"--force", "--log", style}, settings);
            EXPECT_EQ(finished.code, 0) << closed << finished.err;
            EXPECT_TRUE(file_text(out_ / "m.safetensors") == whole) << closed;
        }
    }
    ::close(file);
}

TEST_F(OutputsTest, APipeThatNobodyReadsEndsARunAndLeavesNothing) {
    // Held open, so that there is a warning from the start.
    fs::create_directory(out_);
    const std::string left = ".m.safetensors.halftone-.partial";
    write_text(out_ / left, "");
    const int file = ::open((out_ / left).c_str(), O_RDWR | O_CLOEXEC);
    for (const char* style : {"human", "json"}) {
        const Finished finished = run("slow", {"--log", style}, {.environment = {}, .nobody_reads = true});
        EXPECT_EQ(finished.signal, 0);
        EXPECT_EQ(finished.code, 1);
        EXPECT_EQ(names(), Names{left});
    }
    ::close(file);
    // What is only printed is lost for nobody.
    const Finished plan = halftone({"plan", (folder_ / "slow.toml").string(), "--json"},
                                   {.environment = {}, .nobody_reads = true});
    EXPECT_EQ(plan.signal, 0);
    EXPECT_EQ(plan.code, 1);
}

TEST_F(OutputsTest, AnInputThatChangesDuringTheRunGetsNoOutput) {
    struct Case {
        const char* what;
        std::function<void(const fs::path&)> change;
    };
    const fs::path input = folder_ / "slow.safetensors";
    const Case cases[] = {
        {"changed",
         [](const fs::path& path) {
             const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
             EXPECT_EQ(::pwrite(file, "\1\2", 2, 1 << 20), 2);
             ::close(file);
         }},
        {"replaced",
         [&](const fs::path& path) {
             fs::copy_file(folder_ / "a.safetensors", folder_ / "c.safetensors",
                           fs::copy_options::overwrite_existing);
             fs::rename(path, folder_ / "before.safetensors");
             fs::rename(folder_ / "c.safetensors", path);
         }},
    };
    for (const Case& one : cases) {
        const Finished finished = slow_run({}, [&](int) { one.change(input); });
        EXPECT_EQ(finished.code, 3) << finished.err;
        EXPECT_NE(finished.err.find(std::string("was ") + one.what + " while it was being read"),
                  std::string::npos)
            << finished.err;
        EXPECT_EQ(names(), Names());
    }
}

TEST_F(OutputsTest, StatisticsThatChangeDuringTheRunGetNoOutput) {
    const fs::path statistics = folder_ / "statistics.safetensors";
    write_checkpoint(statistics, {random_tensor("blocks.0.inputs", HT_DTYPE_F32, {16, 4096}, 1)});
    const std::vector<std::string> more = {"--set", "input.statistics=" + statistics.string(), "--set",
                                           "quantize.input_scale=always"};
    const Finished finished =
        slow_run(more, [&](int) { fs::last_write_time(statistics, fs::file_time_type::clock::now()); });
    EXPECT_EQ(finished.code, 3) << finished.err;
    EXPECT_NE(finished.err.find("statistics.safetensors: the file was changed"), std::string::npos)
        << finished.err;
    EXPECT_EQ(names(), Names());
}

TEST_F(OutputsTest, AReplacedFileKeepsItsMode) {
    const mode_t usual = [] {
        const mode_t mask = ::umask(0);
        ::umask(mask);
        return mode_t(0666) & ~mask;
    }();
    for (const std::vector<std::string>& more : {std::vector<std::string>{"--force"}, sharded}) {
        ASSERT_EQ(run("a", more).code, 0);
        const Names made = names();
        for (const std::string& name : made) {
            EXPECT_EQ(mode_of(out_ / name), usual) << name;
            ASSERT_EQ(::chmod((out_ / name).c_str(), name == made.back() ? 0640 : 0600), 0);
        }
        ASSERT_EQ(run("b", more).code, 0);
        ASSERT_EQ(names(), made);
        for (const std::string& name : made)
            EXPECT_EQ(mode_of(out_ / name), name == made.back() ? 0640U : 0600U) << name;
        fs::remove_all(out_);
    }
}

TEST_F(OutputsTest, AReplacedFileKeepsItsOwner) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    ASSERT_EQ(run("a").code, 0);
    ASSERT_EQ(::chown((out_ / "m.safetensors").c_str(), 1234, 2345), 0);
    ASSERT_EQ(run("b", {"--force"}).code, 0);
    struct stat status {};
    ASSERT_EQ(::stat((out_ / "m.safetensors").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_EQ(status.st_gid, 2345U);
}

}  // namespace
}  // namespace halftone::test
