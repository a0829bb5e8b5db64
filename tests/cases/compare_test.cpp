// The command that measures one checkpoint against another.

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

class Compare : public testing::Test {
  protected:
    std::string path(const std::string& name) { return (folder_ / (name + ".safetensors")).string(); }
    void write(const std::string& name, const std::vector<NewTensor>& tensors) {
        write_checkpoint(path(name), tensors);
    }
    void quantize(const std::string& from, const std::string& to, const std::string& options = {}) {
        write_text(folder_ / "p.toml",
                   "[model]\nprofile = \"none\"\n[quantize]\nformat = \"fp8\"\n" + options);
        const Finished finished =
            halftone({"run", (folder_ / "p.toml").string(), "-i", path(from), "-o", path(to), "--force"});
        ASSERT_EQ(finished.code, 0) << finished.err;
    }
    Finished compare(const std::string& reference, const std::string& other,
                     std::vector<std::string> more = {}) {
        std::vector<std::string> words = {"compare", path(reference), path(other)};
        words.insert(words.end(), more.begin(), more.end());
        return halftone(words);
    }
    Json compared(const std::string& reference, const std::string& other,
                  std::vector<std::string> more = {}) {
        more.push_back("--json");
        const Finished finished = compare(reference, other, std::move(more));
        EXPECT_EQ(finished.code, 0) << finished.err;
        return Json::parse(finished.out, nullptr, false);
    }

    TemporaryFolder folder_;
};

std::vector<NewTensor> model(const std::string& prefix = {}) {
    return {random_tensor(prefix + "blocks.0.attn.weight", HT_DTYPE_BF16, {192, 320}, 1),
            random_tensor(prefix + "blocks.0.attn.bias", HT_DTYPE_BF16, {192}, 2),
            random_tensor(prefix + "blocks.0.mlp.weight", HT_DTYPE_F32, {640, 192}, 3)};
}

NewTensor two_floats(const std::string& name, float first, float second) {
    return float_tensor(name, HT_DTYPE_F32, {1, 2}, std::vector{first, second});
}

TEST_F(Compare, ASingleErrorIsFoundWhereItIs) {
    write("a", {float_tensor("x.weight", HT_DTYPE_F32, {2, 2}, std::vector<float>{1, 2, 3, 4}),
                two_floats("same.weight", 1, 2)});
    write("b", {float_tensor("x.weight", HT_DTYPE_F32, {2, 2}, std::vector<float>{1, 2, 3, 4.5}),
                two_floats("same.weight", 1, 2)});
    const Json json = compared("a", "b");
    ASSERT_EQ(json["tensors"].size(), 1u);
    const Json& x = json["tensors"][0];
    EXPECT_EQ(x["name"], "x.weight");
    EXPECT_NEAR(x["relmse"].get<double>(), 0.25 / 30, 1e-15);
    EXPECT_NEAR(x["sqnr"].get<double>(), -10 * std::log10(0.25 / 30), 1e-12);
    EXPECT_EQ(x["max_error"], 0.5);
    EXPECT_EQ(x["max_error_at"], Json({1, 1}));
    EXPECT_EQ(x["entropy"], Json());
    // All directions are leading ones of so small a matrix.
    EXPECT_NEAR(x["projected"].get<double>(), std::sqrt(0.25 / 30), 1e-6);
    EXPECT_EQ(json["identical"], 1);
    EXPECT_EQ(compared("a", "b", {"--no-projection"})["tensors"][0]["projected"], Json());
}

TEST_F(Compare, QuantizedOnEitherSideAndWithAnotherPrefix) {
    write("plain", model());
    write("prefixed", model("model.diffusion_model."));
    quantize("plain", "tensor");
    quantize("plain", "row", "scaling = \"row\"\n");
    quantize("prefixed", "prefixed-row", "scaling = \"row\"\n");
    const Json tensor = compared("plain", "tensor"), row = compared("plain", "row");
    ASSERT_EQ(row["tensors"].size(), 2u);
    EXPECT_EQ(row["identical"], 1);
    EXPECT_EQ(row["tensors"][0]["to"], "fp8 scaling=row");
    EXPECT_GE(row["tensors"][0]["relmse"], row["tensors"][1]["relmse"]);
    for (const Json& one : row["tensors"]) {
        EXPECT_GT(one["relmse"], 1e-4);
        EXPECT_LT(one["relmse"], 1e-3);
        EXPECT_GT(one["entropy"], 5);
        EXPECT_LT(one["entropy"], 8);
        // One element of a row at least is at the end of its scale.
        EXPECT_GE(one["saturated"].get<double>() * one["elements"].get<double>(),
                  one["shape"][0].get<double>() - 0.5);
        EXPECT_GT(one["projected"], 0);
        EXPECT_LT(one["projected"].get<double>(), std::sqrt(one["relmse"].get<double>()));
    }
    EXPECT_NE(tensor["tensors"], row["tensors"]);
    const Json prefixed = compared("plain", "prefixed-row");
    EXPECT_EQ(prefixed["tensors"], row["tensors"]);
    EXPECT_EQ(prefixed["only_in_reference"], Json::array());
    EXPECT_EQ(compared("prefixed", "row")["total"], row["total"]);
    // A quantized reference: both are near each other, and the same as itself.
    EXPECT_GT(compared("tensor", "row")["total"]["relmse"], 0);
    EXPECT_EQ(compared("row", "row")["total"]["relmse"], 0);
}

TEST_F(Compare, FiguresDoNotDependOnThreadsOrMemory) {
    write("plain", model());
    quantize("plain", "coded");
    const Json reference = compared("plain", "coded", {"--threads", "1"});
    EXPECT_EQ(compared("plain", "coded", {"--threads", "7"}), reference);
    EXPECT_EQ(compared("plain", "coded", {"--memory", "64MiB"}), reference);
}

TEST_F(Compare, ProjectedErrorsHaveNoUnit) {
    const NewTensor plain = random_tensor("x.weight", HT_DTYPE_F32, {192, 320}, 1);
    std::vector<float> before(plain.bytes.size() / sizeof(float));
    std::memcpy(before.data(), plain.bytes.data(), plain.bytes.size());
    std::vector<double> projected;
    for (const int exponent : {0, 130, -100}) {  // weights of 0.02, of 3e37 and of 2e-32
        std::vector<float> scaled, other;
        for (const float value : before) {
            scaled.push_back(std::ldexp(value, exponent));
            other.push_back(std::ldexp(value + std::ldexp(1.0f, -12), exponent));
        }
        write("a", {float_tensor("x.weight", HT_DTYPE_F32, {192, 320}, scaled)});
        write("b", {float_tensor("x.weight", HT_DTYPE_F32, {192, 320}, other)});
        projected.push_back(compared("a", "b")["tensors"][0]["projected"].get<double>());
    }
    EXPECT_GT(projected[0], 1e-4);
    EXPECT_NEAR(projected[1], projected[0], 1e-5 * projected[0]);
    EXPECT_NEAR(projected[2], projected[0], 1e-5 * projected[0]);
}

TEST_F(Compare, ProjectedErrorsAreTheLargestThereAreWhereNothingIsLeft) {
    const NewTensor large = random_tensor("x.weight", HT_DTYPE_F32, {64, 64}, 1);
    write("large", {large});
    write("none", {float_tensor("x.weight", HT_DTYPE_F32, {64, 64}, std::vector<float>(64 * 64))});
    write("tiny", {float_tensor("x.weight", HT_DTYPE_F32, {64, 64}, std::vector<float>(64 * 64, 1e-35F))});
    for (const char* reference : {"none", "tiny"}) {
        const Finished finished = compare(reference, "large", {"--fail-above", "projected=10"});
        EXPECT_EQ(finished.code, 1) << finished.out;
        EXPECT_EQ(finished.out.find("nan"), std::string::npos) << finished.out;
    }
}

TEST_F(Compare, MissingAndIncomparableTensorsAreListed) {
    write("a", {two_floats("both.weight", 1, 2),
                two_floats("old.weight", 1, 2),
                two_floats("other.weight", 1, 2),
                {"steps", HT_DTYPE_I64, {1}, std::vector<std::byte>(8)}});
    write("b", {two_floats("both.weight", 1, 2.5),
                two_floats("new.weight", 1, 2),
                float_tensor("other.weight", HT_DTYPE_F32, {3}, std::vector<float>{1, 2, 3}),
                {"steps", HT_DTYPE_I64, {1}, std::vector<std::byte>(8)}});
    const Json json = compared("a", "b");
    EXPECT_EQ(json["only_in_reference"], Json({"old.weight"}));
    EXPECT_EQ(json["only_in_other"], Json({"new.weight"}));
    EXPECT_EQ(json["not_comparable"], Json({"other.weight: [1, 2] there, [3] here"}));
    const Finished text = compare("a", "b");
    for (const char* words :
         {"only in the reference (1):\n  old.weight", "only in the other (1):\n  new.weight",
          "not comparable (1):", "1 tensor compared; 0 identical"})
        EXPECT_NE(text.out.find(words), std::string::npos) << words << " in:\n" << text.out;
    write("c", {two_floats("unlike.weight", 1, 2)});
    EXPECT_EQ(compare("a", "c").code, 3);
}

TEST_F(Compare, BoundsDecideTheExitCode) {
    write("plain", model());
    quantize("plain", "coded");
    EXPECT_EQ(compare("plain", "coded", {"--fail-above", "relmse=1e-3,sqnr=30,cosine=0.999"}).code, 0);
    const Finished above = compare("plain", "coded", {"--fail-above", "relmse=1e-5"});
    EXPECT_EQ(above.code, 1);
    EXPECT_NE(above.err.find("2 of 2 tensors: relmse above 1e-05, the worst blocks.0."), std::string::npos)
        << above.err;
    EXPECT_NE(above.out.find("relMSE"), std::string::npos);
    EXPECT_EQ(compare("plain", "coded", {"--fail-above", "sqnr=60"}).code, 1);
    EXPECT_EQ(compare("plain", "coded", {"--fail-above", "projected=1e-9"}).code, 1);
    const std::pair<std::string, std::string> mistakes[] = {{"relmes=1", "did you mean 'relmse'?"},
                                                            {"relmse", "'relmse' is not relmse=NUMBER"},
                                                            {"relmse=x", "'relmse=x' is not relmse=NUMBER"}};
    for (const auto& [bound, words] : mistakes) {
        const Finished finished = compare("plain", "coded", {"--fail-above", bound});
        EXPECT_EQ(finished.code, 2);
        EXPECT_NE(finished.err.find(words), std::string::npos) << finished.err;
    }
    EXPECT_EQ(compare("plain", "coded", {"--fail-above", "projected=1", "--no-projection"}).code, 2);
}

TEST_F(Compare, WhatIsNoNumberComesFirstAndBreaksEveryBound) {
    const float inf = std::numeric_limits<float>::infinity();
    write("a", {two_floats("x.weight", 1, 2), two_floats("y.weight", 1, 2)});
    write("b", {two_floats("x.weight", 9, 2), two_floats("y.weight", 1, inf)});
    const Json json = compared("a", "b");
    EXPECT_EQ(json["tensors"][0]["name"], "y.weight");
    EXPECT_EQ(json["tensors"][0]["nonfinite"], 1);
    EXPECT_EQ(json["tensors"][0]["relmse"], Json());
    EXPECT_EQ(compare("a", "b", {"--fail-above", "relmse=1e9"}).code, 1);
    EXPECT_EQ(compare("a", "b", {"--top", "1"}).out.find("x.weight"), std::string::npos);
}

// One layer of two inputs, small enough to follow by hand.
TEST_F(Compare, OutputsLoseWhatWeightsAndRoundedInputsLose) {
    write("a", {float_tensor("x.weight", HT_DTYPE_F32, {1, 2}, std::vector<float>{448, 100})});
    quantize("a", "b");  // 448 stays, 100 becomes 96 or 104, whichever is even: 96
    // In e4m3 0.3 is 0.3125 and -2.1 is -2.0 (steps of 0.03125 and 0.25); 700 is cut off at 448.
    write("stats", {float_tensor("x.inputs", HT_DTYPE_F32, {2, 2}, std::vector<float>{0.3F, -2.1F, 0, 700})});
    const Json x = compared("a", "b", {"--stats", path("stats")})["tensors"][0];
    const double first = 448 * 0.3F - 100 * 2.1F, second = 700 * 100;
    const double weight = 96, total = first * first + second * second;
    const double by_weights = std::pow(-2.1F * (weight - 100), 2) + std::pow(700 * (weight - 100), 2);
    const double at_run_time =
        std::pow(448 * 0.3125 - 2.0 * weight - first, 2) + std::pow(448 * weight - second, 2);
    EXPECT_NEAR(x["output"].get<double>(), by_weights / total, 1e-6 * by_weights / total);
    EXPECT_NEAR(x["run_time"].get<double>(), at_run_time / total, 1e-6 * at_run_time / total);
}

TEST_F(Compare, InputsAreRoundedWithTheStoredScaleUnlessItMultipliesInFullPrecision) {
    write("a", {random_tensor("x.weight", HT_DTYPE_F32, {64, 32}, 1)});
    write("stats", {float_tensor("x.inputs", HT_DTYPE_F32, {1, 32}, std::vector<float>(32, 1000))});
    quantize("a", "plain");
    const double clipped = compared("a", "plain", {"--stats", path("stats")})["total"]["run_time"];
    EXPECT_NEAR(clipped, std::pow(1 - 0.448, 2), 0.05);
    quantize("a", "full", "full_precision_matrix_mult = true\n");
    const Json full = compared("a", "full", {"--stats", path("stats")})["total"];
    EXPECT_EQ(full["run_time"], full["output"]);

    std::vector<NewTensor> tensors;
    const Checkpoint stored = Checkpoint::open(path("plain"));
    for (const Tensor& tensor : stored.tensors())
        tensors.push_back({tensor.name, tensor.dtype, tensor.shape, stored.read_all(tensor)});
    tensors.push_back(float_tensor("x.input_scale", HT_DTYPE_F32, {}, std::vector{4.0F}));
    write_checkpoint(path("scaled"), tensors, stored.metadata());
    EXPECT_LT(compared("a", "scaled", {"--stats", path("stats")})["total"]["run_time"].get<double>(), 1e-2);
}

TEST_F(Compare, ErrorsOfOutputsNeedInputsThatFit) {
    write("a", {random_tensor("x.weight", HT_DTYPE_F32, {64, 32}, 1)});
    quantize("a", "b");
    write("wide", {random_tensor("x.inputs", HT_DTYPE_F32, {4, 33}, 1)});
    EXPECT_EQ(compare("a", "b", {"--stats", path("wide")}).code, 3);
    write("others", {random_tensor("y.inputs", HT_DTYPE_F32, {4, 32}, 1)});
    const Finished finished = compare("a", "b", {"--stats", path("others")});
    EXPECT_EQ(finished.code, 3);
    EXPECT_NE(finished.err.find("has no inputs of a layer"), std::string::npos) << finished.err;
    EXPECT_EQ(compare("a", "b", {"--fail-above", "run_time=0.1"}).code, 2);
    write("stats", {random_tensor("x.inputs", HT_DTYPE_F32, {4, 32}, 1)});
    EXPECT_EQ(compare("a", "b", {"--stats", path("stats"), "--fail-above", "run_time=0.1"}).code, 0);
    EXPECT_EQ(compare("a", "b", {"--stats", path("stats"), "--fail-above", "output=1e-9"}).code, 1);
}

}  // namespace
}  // namespace halftone::test
