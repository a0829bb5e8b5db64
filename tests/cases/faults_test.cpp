// Runs of which one call of the system fails, or during which the process is killed, at every point there is:
// under the output's name there is the old checkpoint, nothing, or the new one, and the next run puts the
// rest right.

#include <fstream>
#include <gtest/gtest.h>
#include <map>

#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HALFTONE_TEST_SANITIZED 1
#else
#define HALFTONE_TEST_SANITIZED 0
#endif

namespace halftone::test {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;  // names and contents

class FaultsTest : public testing::Test {
  protected:
    void SetUp() override {
        if (HALFTONE_TEST_SANITIZED) GTEST_SKIP() << "sanitizers want to be loaded first";
        fs::create_directory(out_);
        for (const std::string name : {"old", "new"}) {
            std::vector<NewTensor> tensors;
            for (int i = 0; i < 3; ++i)
                tensors.push_back(random_tensor("blocks." + std::to_string(i) + ".weight", HT_DTYPE_BF16,
                                                {64, 64},
                                                static_cast<uint64_t>(i) + (name == "old" ? 1 : 100)));
            write_checkpoint(folder_ / (name + ".safetensors"), tensors);
        }
    }

    // Sharded unless `more` says otherwise.
    Finished run(const std::string& input, const std::vector<std::string>& more = {},
                 const std::vector<std::pair<std::string, std::string>>& environment = {}) {
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"" + input +
                       ".safetensors\"\n[output]\npath = \"out/m.safetensors\"\nshard_size = \"5KiB\"\n"
                       "[model]\nprofile = \"none\"\n[quantize]\nformat = \"fp8\"\n");
        std::vector<std::string> words = {"run", (folder_ / "p.toml").string(), "--threads", "1",
                                          "--no-progress"};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words, {.environment = environment});
    }

    Finished run_with_fault(const std::string& kind, long at, const std::vector<std::string>& more) {
        return run("new", more,
                   {{"LD_PRELOAD", HALFTONE_FAULTS}, {"FAULT_KIND", kind}, {"FAULT_AT", std::to_string(at)}});
    }

    // How many calls a run makes that could fail.
    long calls_of(const std::vector<std::string>& more) {
        const Finished finished =
            run("new", more, {{"LD_PRELOAD", HALFTONE_FAULTS}, {"FAULT_LOG", (folder_ / "calls").string()}});
        EXPECT_EQ(finished.code, 0) << finished.err;
        return std::stol(file_text(folder_ / "calls"));
    }

    Files files() const {
        Files files;
        for (const auto& entry : fs::directory_iterator(out_))
            files[entry.path().filename().string()] = file_text(entry.path());
        return files;
    }

    static Files visible(Files files) {
        std::erase_if(files, [](const auto& file) { return file.first.starts_with('.'); });
        return files;
    }

    void put(const Files& files) {
        fs::remove_all(out_);
        fs::create_directory(out_);
        for (const auto& [name, content] : files)
            write_text(out_ / name, content);
    }

    Files made_from(const std::string& input, const std::vector<std::string>& more) {
        put({});
        const Finished finished = run(input, more);
        EXPECT_EQ(finished.code, 0) << finished.err;
        return files();
    }

    void kill_at_every_point(const std::vector<std::string>& more, bool replaces);
    void fail_at_every_point(const std::vector<std::string>& more, bool replaces);

    TemporaryFolder folder_;
    const fs::path out_ = folder_ / "out";
};

constexpr const char* index_name = "m.safetensors.index.json";
const std::vector<std::string> single = {"--set", "output.shard_size=0"};

std::vector<std::string> with_force(std::vector<std::string> more, bool force) {
    if (force) more.emplace_back("--force");
    return more;
}

void FaultsTest::fail_at_every_point(const std::vector<std::string>& more, bool replaces) {
    const Files made = made_from("new", more), old = replaces ? made_from("old", more) : Files();
    ASSERT_TRUE(made != old);
    put(old);
    const long calls = calls_of(with_force(more, replaces));
    ASSERT_GT(calls, 4);
    for (long at = 1; at <= calls; ++at) {
        SCOPED_TRACE(at);
        put(old);
        const Finished finished = run_with_fault("fail", at, with_force(more, replaces));
        ASSERT_EQ(finished.signal, 0);
        Files now = files();
        if (finished.code == 0) {
            EXPECT_TRUE(visible(now) == made);
        } else if (more == single && visible(now) == made) {
            EXPECT_NE(finished.err.find("is complete"), std::string::npos) << finished.err;
        } else {
            EXPECT_TRUE(visible(now) == old) << finished.err;
        }
        // A file that could not be removed is removed by the next run.
        EXPECT_EQ(run("new", with_force(more, true)).code, 0);
        EXPECT_TRUE(files() == made);
    }
}

void FaultsTest::kill_at_every_point(const std::vector<std::string>& more, bool replaces) {
    const Files made = made_from("new", more), old = replaces ? made_from("old", more) : Files();
    put(old);
    const long calls = calls_of(with_force(more, replaces));
    for (long at = 1; at <= calls; ++at) {
        SCOPED_TRACE(at);
        put(old);
        const Finished finished = run_with_fault("kill", at, with_force(more, replaces));
        ASSERT_EQ(finished.signal, SIGKILL);
        const Files left = visible(files());
        const bool readable = left.contains(more == single ? "m.safetensors" : index_name);
        EXPECT_TRUE(!readable || left == old || left == made) << "a mixture that looks like a checkpoint";
        if (!readable && replaces)
            for (const fs::path& path : {out_, out_ / index_name}) {
                const Finished inspected = halftone({"inspect", path.string()});
                EXPECT_EQ(inspected.code, 3);
                EXPECT_NE(inspected.err.find("was killed while it did"), std::string::npos) << inspected.err;
            }

        // What the next run finds, once it has put it right, it must not replace.
        const Finished next = run("new", more);
        if (replaces || left == made) {
            EXPECT_EQ(next.code, 2) << next.err;
            EXPECT_NE(next.err.find("exists already"), std::string::npos) << next.err;
            EXPECT_TRUE(files() == old || files() == made);
        } else {
            EXPECT_EQ(next.code, 0) << next.err;
            EXPECT_TRUE(files() == made);
        }
    }
}

TEST_F(FaultsTest, AFailedCallLeavesTheOldSetOfShards) {
    fail_at_every_point({}, true);
}
TEST_F(FaultsTest, AFailedCallLeavesNoShards) {
    fail_at_every_point({}, false);
}
TEST_F(FaultsTest, AFailedCallLeavesTheOldFile) {
    fail_at_every_point(single, true);
}
TEST_F(FaultsTest, AFailedCallLeavesNoFile) {
    fail_at_every_point(single, false);
}
TEST_F(FaultsTest, AKillNeverLeavesAMixtureOfShardsAndTheNextRunPutsThemBack) {
    kill_at_every_point({}, true);
}
TEST_F(FaultsTest, AKillLeavesNoShardsForTheNextRun) {
    kill_at_every_point({}, false);
}
TEST_F(FaultsTest, AKillLeavesTheOldFileOrTheNewOne) {
    kill_at_every_point(single, true);
}

// A disk that fails for good: what cannot be put back is put back by the next run.
TEST_F(FaultsTest, WhenEveryCallFailsFromAPointOnNothingIsLost) {
    const Files made = made_from("new", {}), old = made_from("old", {});
    put(old);
    const long calls = calls_of({"--force"});
    for (long at = 1; at <= calls; ++at) {
        SCOPED_TRACE(at);
        put(old);
        const Finished finished = run_with_fault("all", at, {"--force"});
        ASSERT_EQ(finished.signal, 0);
        const Files left = visible(files());
        const bool said = finished.err.find("could not be put back") != std::string::npos;
        EXPECT_TRUE(left.contains(index_name) ? left == old || left == made : said) << finished.err;
        EXPECT_EQ(run("new").code, 2);
        EXPECT_TRUE(files() == old || files() == made);
    }
}

TEST_F(FaultsTest, WhatIsLeftOfAnExchangeWithoutARecordIsNotTouched) {
    Files old = made_from("old", {});
    old[".m-00002-of-00003.safetensors.halftone-previous"] = "somebody's";
    put(old);
    const Finished finished = run("new", {"--force"});
    EXPECT_EQ(finished.code, 1) << finished.err;
    EXPECT_TRUE(files() == old);
}

TEST_F(FaultsTest, AFullDiskUnderTheReportIsAMatterOfSpaceAndKeepsTheOutput) {
    const std::vector<std::string> more = {"--set", "report.json=" + (folder_ / "r.json").string(),
                                           "--force"};
    const Finished whole = run("new", more,
                               {{"LD_PRELOAD", HALFTONE_FAULTS},
                                {"FAULT_CALL", "pwrite"},
                                {"FAULT_LOG", (folder_ / "calls").string()}});
    ASSERT_EQ(whole.code, 0) << whole.err;
    const Files made = files();
    const std::string report = file_text(folder_ / "r.json");
    const Finished finished = run("new", more,
                                  {{"LD_PRELOAD", HALFTONE_FAULTS},
                                   {"FAULT_CALL", "pwrite"},
                                   {"FAULT_KIND", "fail"},
                                   {"FAULT_FULL", "1"},
                                   {"FAULT_AT", std::to_string(std::stol(file_text(folder_ / "calls")))}});
    EXPECT_EQ(finished.code, 6) << finished.err;
    EXPECT_NE(finished.err.find("the output is complete"), std::string::npos) << finished.err;
    EXPECT_TRUE(files() == made);
    EXPECT_EQ(file_text(folder_ / "r.json"), report) << "half a report in place of the old one";
    for (const std::string& name : names_in(folder_.path()))
        EXPECT_EQ(name.find("partial"), std::string::npos) << name;
}

}  // namespace
}  // namespace halftone::test
