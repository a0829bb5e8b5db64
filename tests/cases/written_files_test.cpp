// Which files a run may write: a pipeline is data and may be a stranger's, and nothing that is read is
// written to.

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <sys/stat.h>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

namespace fs = std::filesystem;

// A home with files of its owner's, and a pipeline that came from somewhere in home/work.
class WrittenFilesTest : public testing::Test {
  protected:
    void SetUp() override {
        fs::create_directories(work_ / "sub" / "deep");
        fs::create_directories(home_ / ".config");
        write_checkpoint(work_ / "in.safetensors",
                         {random_tensor("a.attn.weight", HT_DTYPE_BF16, {96, 160}, 1),
                          random_tensor("a.mlp.weight", HT_DTYPE_F32, {160, 96}, 2)});
        write_checkpoint(work_ / "statistics.safetensors",
                         {random_tensor("a.attn.inputs", HT_DTYPE_F32, {40, 160}, 3)});
        write_checkpoint(work_ / "factors.safetensors",
                         {random_tensor("a.attn.right", HT_DTYPE_F32, {160, 20}, 4)});
        write_text(home_ / ".bashrc", "alias ll='ls -l'\n");
        write_text(home_ / "notes.json", "{\"input\": \"mine\"}\n");
        write_text(work_ / "notes.jsonl", "{\"mine\": 1}\n");
        fs::create_symlink("../../home/.bashrc", work_ / "link.json");
        fs::create_symlink("..", work_ / "up");
        fs::create_symlink("nowhere.safetensors", work_ / "dangling.json");
        fs::create_symlink("out.safetensors", work_ / "to-output.json");
    }

    Finished run(const std::string& report, const std::string& output = "path = \"out.safetensors\"",
                 const std::vector<std::string>& more = {}, const std::string& command = "run") {
        write_text(
            work_ / "p.toml",
            "[input]\npath = \"in.safetensors\"\nstatistics = \"statistics.safetensors\"\n[output]\n" +
                output +
                "\n[model]\nprofile = \"none\"\n[quantize]\nformat = \"fp8\"\noptimizer = \"integral\"\n"
                "[rounding]\nobjective = \"factors.safetensors\"\n[optimizer.integral]\nrounds = 2\n"
                "[report]\n" +
                report);
        std::vector<std::string> words = {command, (work_ / "p.toml").string()};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }

    // Everything in the home, contents included.
    std::map<std::string, std::string> everything() const {
        std::map<std::string, std::string> all;
        for (const auto& entry : fs::recursive_directory_iterator(home_)) {
            const std::string name = entry.path().lexically_relative(home_).string();
            if (entry.is_symlink())
                all[name] = "-> " + fs::read_symlink(entry.path()).string();
            else if (entry.is_regular_file() && name != "work/p.toml")
                all[name] = file_text(entry.path());
            else
                all[name] = "";
        }
        return all;
    }

    // And without --force, with it from the pipeline, and in the plan.
    void expect_refused(const std::string& report, const std::string& part,
                        const std::string& output = "path = \"out.safetensors\"",
                        const std::vector<std::string>& more = {}) {
        SCOPED_TRACE(report + output);
        write_text(work_ / "p.toml", "");
        const auto before = everything();
        const Finished finished = run(report, output, more);
        EXPECT_EQ(finished.code, 2) << finished.err;
        EXPECT_NE(finished.err.find(part), std::string::npos) << finished.err;
        EXPECT_EQ(everything(), before);
        const Finished plan = run(report, output, more, "plan");
        EXPECT_NE(plan.err.find(part), std::string::npos) << plan.err;
        EXPECT_EQ(everything(), before);
    }

    TemporaryFolder folder_;
    const fs::path home_ = folder_ / "home", work_ = home_ / "work";
};

TEST_F(WrittenFilesTest, APipelineWritesReportsOnlyBesideItsOutput) {
    const std::string outside = "is outside the output's folder";
    for (const char* replace : {"", "\nreplace = true"}) {
        const std::string output = std::string("path = \"out.safetensors\"") + replace;
        expect_refused("json = \"../.bashrc\"\n", outside, output);
        expect_refused("json = \"../new.json\"\n", outside, output);
        expect_refused("json = \"sub/../../new.json\"\n", outside, output);
        expect_refused("json = \"up/new.json\"\n", outside, output);
        expect_refused("json = \"link.json\"\n", outside, output);
        expect_refused("json = \"" + (home_ / "new.json").string() + "\"\n", outside, output);
        expect_refused("trace = \"../traces\"\n", outside, output);
        expect_refused("trace = \"up\"\n", outside, output);
        expect_refused("trace = \"up/new\"\n", outside, output);
        expect_refused("trace = \"/tmp/halftone-traces-of-a-stranger\"\n", outside, output);
        expect_refused("json = \"../r.json\"\n", outside, output,
                       {"-o", (work_ / "sub" / "o.safetensors").string()});
    }
    // The output itself may be anywhere, so what stands beside it must not be what other programs look for.
    const std::string in_home = "path = \"../out.safetensors\"";
    expect_refused("json = \"../.bash_profile\"\n", "is hidden", in_home);
    expect_refused("json = \"../.config/x.json\"\n", "is hidden", in_home);
    expect_refused("trace = \"../.config/x\"\n", "is hidden", in_home);
    expect_refused("json = \"../profile\"\n", "must be called *.json", in_home);
    expect_refused("", "must be called *.safetensors", "path = \"../.profile\"");
    expect_refused("", "must be called *.safetensors", "path = \"../.bashrc\"\nreplace = true");
}

TEST_F(WrittenFilesTest, ReportsAreWrittenWhereTheyMayBe) {
    Finished finished = run("json = \"sub/r.json\"\ntrace = \"sub/deep/traces\"\n");
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_TRUE(fs::exists(work_ / "sub/r.json"));
    EXPECT_EQ(names_in(work_ / "sub/deep/traces"), (std::vector<std::string>{"a.attn.weight.jsonl"}));
    // Beside the output if the command line moves it.
    finished = run("json = \"r.json\"\ntrace = \"traces\"\n", "path = \"out.safetensors\"",
                   {"-o", (work_ / "sub/o").string()});
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_TRUE(fs::exists(work_ / "sub/o"));
    EXPECT_TRUE(fs::exists(work_ / "sub/traces/a.attn.weight.jsonl"));
    EXPECT_FALSE(fs::exists(work_ / "r.json"));
    // Anywhere if the command line says so.
    fs::create_directory(folder_ / "elsewhere");
    finished = run("", "path = \"out.safetensors\"",
                   {"--force", "--set", "report.json=" + (folder_ / "elsewhere/.r").string(), "--set",
                    "report.trace=" + (folder_ / "elsewhere/traces").string()});
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_TRUE(fs::exists(folder_ / "elsewhere/.r"));
    EXPECT_TRUE(fs::exists(folder_ / "elsewhere/traces/a.attn.weight.jsonl"));
}

TEST_F(WrittenFilesTest, OnlyAnOlderReportIsReplacedWithoutForce) {
    const std::string report = "json = \"r.json\"\ntrace = \"traces\"\n";
    ASSERT_EQ(run(report).code, 0);
    const std::string first = file_text(work_ / "r.json");
    const Finished again = run(report, "path = \"out2.safetensors\"");
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_NE(file_text(work_ / "r.json"), first);

    write_text(work_ / "traces/a.attn.weight.jsonl", "{\"mine\": 1}\n");
    expect_refused(report, "is no trace of an earlier run", "path = \"out3.safetensors\"");
    fs::remove_all(work_ / "traces");
    for (const char* content : {"{\"input\": \"mine\"}\n", "", "{\"input\": 1, \"output\"", "[]"}) {
        write_text(work_ / "r.json", content);
        expect_refused(report, "is no report of an earlier run", "path = \"out3.safetensors\"");
        expect_refused(report, "is no report of an earlier run",
                       "path = \"out3.safetensors\"\nreplace = true");
    }
    EXPECT_EQ(run(report, "path = \"out3.safetensors\"", {"--force"}).code, 0);
    EXPECT_TRUE(Json::accept(file_text(work_ / "r.json")));
}

TEST_F(WrittenFilesTest, NothingThatIsReadIsWrittenTo) {
    fs::create_hard_link(work_ / "in.safetensors", work_ / "same.json");
    fs::create_directory(work_ / "traces");
    for (const std::string name : {"in", "statistics", "factors"}) {
        const std::string file = (work_ / (name + ".safetensors")).string();
        for (const std::vector<std::string>& force : {std::vector<std::string>{}, {"--force"}}) {
            std::vector<std::string> more = {"--set", "report.json=" + file};
            more.insert(more.end(), force.begin(), force.end());
            expect_refused("", name == "in" ? "would overwrite the input" : "which the run reads",
                           "path = \"out.safetensors\"", more);
        }
        if (name == "in") continue;
        expect_refused("", "this is the input", "path = \"" + name + ".safetensors\"", {"--force"});
        fs::create_symlink("../" + name + ".safetensors", work_ / "traces/a.attn.weight.jsonl");
        expect_refused("trace = \"traces\"\n", "which the run reads", "path = \"out.safetensors\"",
                       {"--force"});
        fs::remove(work_ / "traces/a.attn.weight.jsonl");
    }
    expect_refused("json = \"same.json\"\n", "which the run reads", "path = \"out.safetensors\"",
                   {"--force"});
    expect_refused("", "which the run reads", "path = \"out.safetensors\"",
                   {"--force", "--set", "report.json=" + (work_ / "p.toml").string()});
    expect_refused("", "this is the input", "path = \"out.safetensors\"",
                   {"--force", "-o", (work_ / "p.toml").string()});
    expect_refused("json = \"dangling.json\"\n", "is a link to something that does not exist");
    expect_refused("json = \"to-output.json\"\n", "is a link to something that does not exist");
    ASSERT_EQ(run("").code, 0);
    expect_refused("json = \"to-output.json\"\n", "is the output", "path = \"out.safetensors\"", {"--force"});
}

TEST_F(WrittenFilesTest, WhatIsNoFileIsRefusedBeforeTheRun) {
    ASSERT_EQ(::mkfifo((work_ / "pipe.json").c_str(), 0600), 0);
    expect_refused("json = \"pipe.json\"\n", "is no regular file");
    expect_refused("", "is no regular file", "path = \"out.safetensors\"",
                   {"--force", "--set", "report.json=/dev/full"});
    expect_refused("json = \"sub\"\n", "must be called *.json");
    expect_refused("", "is a folder", "path = \"out.safetensors\"",
                   {"--force", "--set", "report.json=" + (work_ / "sub").string()});
    expect_refused("trace = \"in.safetensors\"\n", "is no folder");
    fs::create_directory(work_ / "traces");
    ASSERT_EQ(::mkfifo((work_ / "traces/a.attn.weight.jsonl").c_str(), 0600), 0);
    expect_refused("trace = \"traces\"\n", "is no regular file");
}

TEST_F(WrittenFilesTest, APipelineReplacesOnlyCheckpoints) {
    const std::string output = "path = \"out.safetensors\"\nreplace = true";
    ASSERT_EQ(run("", output).code, 0);
    EXPECT_EQ(run("", output).code, 0);
    for (const char* content : {"", "alias ll='ls -l'\n", "\x10\0\0\0\0\0\0\0no header"}) {
        write_text(work_ / "out.safetensors", content);
        expect_refused("", "this is no safetensors file", output);
    }
    EXPECT_EQ(run("", output, {"--force"}).code, 0);
    const std::string shards = output + "\nshard_size = \"16KiB\"";
    fs::remove(work_ / "out.safetensors");
    ASSERT_EQ(run("", shards).code, 0);
    EXPECT_EQ(run("", shards).code, 0);
    write_text(work_ / "out.safetensors.index.json", "{\"mine\": 1}");
    expect_refused("", "this is no index of shards", shards);
}

TEST_F(WrittenFilesTest, PlanAndSummaryNameEveryFile) {
    const std::string report = "json = \"r.json\"\ntrace = \"traces\"\n",
                      output = "path = \"out.safetensors\"\nshard_size = \"16KiB\"";
    const std::vector<std::string> files = {"out-00001-of-00002.safetensors",
                                            "out-00002-of-00002.safetensors", "out.safetensors.index.json",
                                            "r.json", "traces/"};
    const Finished plan = run(report, output, {}, "plan"), json = run(report, output, {"--json"}, "plan"),
                   done = run(report, output);
    ASSERT_EQ(done.code, 0) << done.err;
    std::vector<std::string> written = Json::parse(json.out).at("writes");
    for (size_t i = 0; i < files.size(); ++i) {
        const std::string path = (work_ / files[i]).string();
        EXPECT_NE(plan.out.find("would write " + path + "\n"), std::string::npos) << plan.out;
        EXPECT_NE(done.out.find("wrote " + path + "\n"), std::string::npos) << done.out;
        EXPECT_EQ(written.at(i), path);
        EXPECT_TRUE(fs::exists(path));
    }
}

TEST_F(WrittenFilesTest, TracesOfEarlierRunsAreRemoved) {
    const std::string report = "trace = \"traces\"\n";
    ASSERT_EQ(run(report).code, 0);
    const fs::path traces = work_ / "traces";
    fs::copy_file(traces / "a.attn.weight.jsonl", traces / "before.weight.jsonl");
    write_text(traces / "mine.jsonl", "{\"mine\": 1}\n");
    write_text(traces / "mine.txt", "{\"iteration\": 0}\n");
    ASSERT_EQ(run(report, "path = \"out2.safetensors\"").code, 0);
    EXPECT_EQ(names_in(traces), (std::vector<std::string>{"a.attn.weight.jsonl", "mine.jsonl", "mine.txt"}));
}

TEST_F(WrittenFilesTest, DequantizeNeverReplacesTheModelThatTellsItsShapes) {
    ASSERT_EQ(run("").code, 0);
    const auto before = everything();
    const std::string model = (work_ / "in.safetensors").string();
    const Finished finished = halftone(
        {"dequantize", (work_ / "out.safetensors").string(), "-o", model, "--force", "--shapes-from", model});
    EXPECT_EQ(finished.code, 2) << finished.err;
    EXPECT_NE(finished.err.find("this is the input"), std::string::npos) << finished.err;
    EXPECT_EQ(everything(), before);
}

}  // namespace
}  // namespace halftone::test
