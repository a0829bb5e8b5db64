// Whole runs that learn their rounding.

#include <cmath>
#include <gtest/gtest.h>
#include <sstream>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

class LearnedRun : public testing::Test {
  protected:
    void SetUp() override {
        write_checkpoint(folder_ / "in.safetensors",
                         {random_tensor("a.attn.weight", HT_DTYPE_BF16, {96, 160}, 1),
                          random_tensor("a.mlp.weight", HT_DTYPE_F32, {160, 96}, 2),
                          random_tensor("a.attn.bias", HT_DTYPE_BF16, {96}, 3)});
    }

    Finished run(const std::string& more, const std::vector<std::string>& words = {},
                 const std::string& command = "run") {
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\npath = "
                   "\"out.safetensors\"\nreplace = true\n[model]\nprofile = \"none\"\n"
                   "[quantize]\nformat = \"fp8\"\noptimizer = \"integral\"\n" +
                       more);
        std::vector<std::string> all = {command, (folder_ / "p.toml").string()};
        all.insert(all.end(), words.begin(), words.end());
        return halftone(all);
    }
    std::string out() { return file_text(folder_ / "out.safetensors"); }

    TemporaryFolder folder_;
};

void expect_said(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "not said: " << part << "\nin: " << text;
}

TEST_F(LearnedRun, StoresLessProjectedErrorAndSaysSo) {
    const Finished done = run("[rounding]\nmin_rank = 10\n[report]\njson = \"report.json\"\n");
    ASSERT_EQ(done.code, 0) << done.err;
    expect_said(done.out, "learned the rounding of 2 matrices");
    const Json report = Json::parse(file_text(folder_ / "report.json"));
    for (const char* name : {"a.attn.weight", "a.mlp.weight"}) {
        const Json& learned = report.at("run").at("learned").at(name);
        EXPECT_LT(learned.at("objective").get<double>(), 0.6) << name;
        EXPECT_LE(learned.at("squared_error").get<double>(), 1.03) << name;
        EXPECT_TRUE(learned.at("improved").get<bool>());
    }
    expect_said(out(), "optimizer = \\\"integral\\\"");  // the recipe
    expect_said(out(), "optimizer integral 1.0.0");
}

TEST_F(LearnedRun, GivesTheSameBytesForAnyNumberOfThreads) {
    ASSERT_EQ(run("", {"--set", "run.threads=1"}).code, 0);
    const std::string one = out();
    ASSERT_EQ(run("", {"--set", "run.threads=3"}).code, 0);
    EXPECT_EQ(one, out());
    ASSERT_EQ(run("", {"--set", "rounding.seed=5"}).code, 0);
    EXPECT_NE(one, out()) << "another seed finds slightly other singular directions";
}

TEST_F(LearnedRun, RoundsToNearestWhatIsTooLargeAndThePlanSaysSo) {
    const Finished plan = run("[rounding]\nmax_elements = 15000\n", {}, "plan");
    ASSERT_EQ(plan.code, 0) << plan.err;
    expect_said(plan.out, "not learned: more than 15000 elements");
    ASSERT_EQ(run("[rounding]\nmax_elements = 15000\n[output]\n").code, 2);  // a section twice
    ASSERT_EQ(run("[rounding]\nmax_elements = 15000\n").code, 0);
    const std::string learned_nothing = out();
    const Finished nearest = run("", {"--set", "quantize.optimizer=none"});
    ASSERT_EQ(nearest.code, 0);
    const auto data = [](const std::string& file) { return file.substr(file.size() - 96 * 160); };
    EXPECT_EQ(data(learned_nothing), data(out()));
}

TEST_F(LearnedRun, TakesFactorsFromAFileForTheLayersThatItHas) {
    write_checkpoint(folder_ / "factors.safetensors",
                     {random_tensor("a.attn.left", HT_DTYPE_F32, {7, 96}, 5),
                      random_tensor("a.attn.right", HT_DTYPE_F32, {160, 9}, 6)});
    const std::string objective = "[rounding]\nobjective = \"factors.safetensors\"\n";
    const Finished plan = run(objective, {}, "plan");
    ASSERT_EQ(plan.code, 0) << plan.err;
    expect_said(plan.out, "not learned: no factors in factors.safetensors");
    const Finished done = run(objective + "[report]\njson = \"report.json\"\n");
    ASSERT_EQ(done.code, 0) << done.err;
    const Json report = Json::parse(file_text(folder_ / "report.json"));
    EXPECT_LT(report.at("run").at("learned").at("a.attn.weight").at("objective").get<double>(), 0.7);
    EXPECT_FALSE(report.at("run").at("learned").contains("a.mlp.weight"));
}

TEST_F(LearnedRun, RefusesFactorsThatDoNotFit) {
    write_checkpoint(folder_ / "factors.safetensors",
                     {random_tensor("a.attn.left", HT_DTYPE_F32, {7, 95}, 5)});
    const Finished done = run("[rounding]\nobjective = \"factors.safetensors\"\n");
    EXPECT_EQ(done.code, 3);
    expect_said(done.err, "a.attn.left");
    expect_said(done.err, "[7, 95]");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
}

TEST_F(LearnedRun, MinimizesTheErrorOfOutputsWhereActivationsAreGiven) {
    EXPECT_EQ(run("[rounding]\nobjective = \"activation\"\n").code, 2) << "there are none";
    std::vector<float> correlated(300 * 96);  // more samples than columns, in few directions
    for (size_t i = 0; i < correlated.size(); ++i) {
        const size_t sample = i / 96, column = i % 96;
        correlated[i] = std::sin(0.01f * static_cast<float>((sample % 11 + 1) * column)) +
                        0.01f * std::cos(static_cast<float>(i));
    }
    write_checkpoint(folder_ / "stats.safetensors",
                     {random_tensor("a.attn.inputs", HT_DTYPE_F32, {40, 160}, 7),
                      float_tensor("a.mlp.inputs", HT_DTYPE_BF16, {300, 96}, correlated)});
    const Finished done =
        run("[rounding]\nobjective = \"activation\"\n[report]\njson = \"report.json\"\n"
            "[optimizer.integral]\ngain = 0.3\n",
            {"--set", "input.statistics=" + (folder_ / "stats.safetensors").string()});
    ASSERT_EQ(done.code, 0) << done.err;
    const Json report = Json::parse(file_text(folder_ / "report.json"));
    for (const auto& [name, learned] : report.at("run").at("learned").items())
        EXPECT_LT(learned.at("objective").get<double>(), 0.9) << name;
}

TEST_F(LearnedRun, TracesEveryIterationOfEveryMatrix) {
    ASSERT_EQ(run("[report]\ntrace = \"trace\"\n[optimizer.integral]\nrounds = 6\n").code, 0);
    EXPECT_EQ(names_in(folder_ / "trace"),
              (std::vector<std::string>{"a.attn.weight.jsonl", "a.mlp.weight.jsonl"}));
    std::istringstream lines(file_text(folder_ / "trace/a.attn.weight.jsonl"));
    std::string line;
    int n = 0;
    while (std::getline(lines, line)) {
        const Json row = Json::parse(line);
        EXPECT_EQ(row.at("iteration").get<int>(), n++);
        EXPECT_GT(row.at("stored_loss").get<double>(), 0);
        EXPECT_TRUE(row.at("kept").is_boolean());
    }
    EXPECT_EQ(n, 7);  // and the last, which is proposed only
}

TEST_F(LearnedRun, NamesTheOptimizersThatThereAre) {
    const Finished done = run("", {"--set", "quantize.optimizer=adam"});
    EXPECT_EQ(done.code, 4);
    expect_said(done.err, "no optimizer plugin 'adam'");
    expect_said(done.err, "integral");
    EXPECT_EQ(run("[optimizer.integral]\ngain = 5\n").code, 2);
}

}  // namespace
}  // namespace halftone::test
