// What loaders.toml may say, and what it says.

#include "core/plan/loaders.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace halftone {
namespace {

std::string problem_of(const std::string& toml) {
    Loaders loaders;
    loaders.add("[loader.here]\nlayouts = [\"comfyui\"]\n", "first.toml");
    try {
        loaders.add(toml, "l.toml");
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage);
        return error.what();
    }
    return "nothing wrong";
}

TEST(LoadersFile, TheInstalledOneDescribesEveryTarget) {
    Loaders loaders = Loaders::standard();
    for (const char* id : {"comfyui", "comfyui-fork", "bitsandbytes"}) {
        const Loader* loader = loaders.known(id);
        ASSERT_NE(loader, nullptr) << id;
        EXPECT_FALSE(loader->layouts.empty()) << id;
    }
    EXPECT_TRUE(loaders.find("comfyui").single_files);
    EXPECT_FALSE(loaders.find("comfyui").knows_dtype("F8_E8M0"));
    EXPECT_TRUE(loaders.find("comfyui").knows_dtype("F8_E4M3"));
    EXPECT_TRUE(loaders.find("bitsandbytes").knows_dtype("F8_E8M0")) << "it says nothing, so all";
}

TEST(LoadersFile, ALaterOneGoesOverAnEarlierOneKeyByKey) {
    Loaders loaders;
    loaders.add("[loader.a]\nname = \"A\"\nlayouts = [\"comfyui\"]\nsingle_files = true\n", "one.toml");
    loaders.add("[loader.a]\nsingle_files = false\n", "two.toml");
    EXPECT_EQ(loaders.find("a").name, "A");
    EXPECT_FALSE(loaders.find("a").single_files);
    EXPECT_EQ(loaders.find("a").layouts, std::vector<std::string>{"comfyui"});
}

TEST(LoadersFile, MistakesAreNamedWithTheirPlace) {
    EXPECT_EQ(problem_of("[loader.here]\nlayout = [\"comfyui\"]\n"),
              "l.toml:2:1: [loader.here] has no key 'layout'; did you mean 'layouts'?");
    EXPECT_EQ(problem_of("[loader.here]\nlayouts = [\"comfyu\"]\n"),
              "l.toml:2:12: [loader.here] layouts: there is no 'comfyu'; did you mean 'comfyui'?");
    EXPECT_EQ(problem_of("[loader.here]\nsingle_files = 1\n"),
              "l.toml:2:16: [loader.here] single_files must be true or false, not the integer 1");
    EXPECT_EQ(problem_of("[loader.here]\ndtypes = [\"FP32\"]\n"),
              "l.toml:2:11: [loader.here] dtypes: there is no type 'FP32'");
    EXPECT_EQ(problem_of("[loader.HERE]\nlayouts = [\"comfyui\"]\n"),
              "l.toml:1:9: 'HERE' is no loader's id: ids are made of a-z, 0-9, '.' and '-'");
    EXPECT_EQ(problem_of("[loader.new]\nname = \"x\"\n"), "l.toml:1:9: [loader.new] reads no layout");
    EXPECT_EQ(problem_of("[[label]]\nloader = \"hre\"\nlabel = \"x\"\n"),
              "l.toml:2:10: no [loader.hre] is known; did you mean 'here'?");
    EXPECT_EQ(problem_of("[[label]]\nloader = \"here\"\n"), "l.toml:1:1: [[label]] needs 'label'");
    EXPECT_EQ(problem_of("[[label]]\nloader = \"here\"\nlabel = \"x\"\nsince = \"soon\"\n"),
              "l.toml:4:9: 'soon' is neither a month nor a version");
    EXPECT_EQ(problem_of("[[label]]\nloader = \"here\"\nlabel = \"x\"\noptions = \"scaling: row\"\n"),
              "l.toml:4:11: 'scaling: row' is not written as 'name=value other=value'");
    EXPECT_EQ(problem_of("[[label]]\nloader = \"here\"\nlabel = \"x\"\nkeys = [{ option = \"o\" }]\n"),
              "l.toml:4:9: each of [[label]] keys needs 'key'");
    const std::string rule = "[[label]]\nloader = \"here\"\nlabel = \"x\"\n";
    EXPECT_EQ(problem_of(rule + "activations = \"fp8\\nint8\"\n"),
              "l.toml:4:15: [[label]] activations has more than one line");
    EXPECT_EQ(problem_of(rule + "hardware = \"a\\nb\"\n"),
              "l.toml:4:12: [[label]] hardware has more than one line");
    EXPECT_EQ(problem_of(rule + "remark = \"a\\nb\"\n"),
              "l.toml:4:10: [[label]] remark has more than one line");
    EXPECT_EQ(problem_of("labels = 1\n"), "l.toml:1:1: the file has no key 'labels'; did you mean 'label'?");
    EXPECT_NE(problem_of("[loader.here\n").find("l.toml:1"), std::string::npos);
}

TEST(LoadersFile, MistakesInWhatALoaderDoesWithALayerAreNamed) {
    const std::string layer = "[[layer]]\nloader = \"here\"\nlabels = [\"x\"]\n";
    EXPECT_EQ(problem_of(layer), "l.toml:1:1: [[layer]] needs 'weight'");
    EXPECT_EQ(problem_of(layer + "kind = \"table\"\n"), "l.toml:4:8: [[layer]] kind: there is no 'table'");
    const std::string matrix = layer + "weight = [\"N\", \"K\"]\ndtypes = [\"I8\"]\n";
    EXPECT_EQ(problem_of(matrix), "nothing wrong");
    EXPECT_EQ(
        problem_of(matrix + "must = [{ holds = \"K % 2 = 0\", why = \"w\" }]\n"),
        "l.toml:6:19: each of [[layer]] must holds: 'K % 2 = 0' cannot be computed: '= 0' is left over");
    EXPECT_EQ(problem_of(matrix + "must = [{ holds = \"G == 2\", why = \"w\" }]\n"),
              "l.toml:6:19: each of [[layer]] must holds: nothing says what 'G' is");
    EXPECT_EQ(problem_of(matrix + "tensors = [{ name = \"s\", shape = [\"N\"] }]\n"),
              "l.toml:6:26: each of [[layer]] tensors has no key 'shape'; did you mean 'shapes'?");
    EXPECT_EQ(problem_of(matrix + "tensors = [{ name = \"s\", shapes = [\"N up(\"] }]\n"),
              "l.toml:6:36: each of [[layer]] tensors shapes: 'up(' cannot be computed: it ends too early");
    EXPECT_EQ(problem_of(matrix + "numbers = [{ name = \"G\", keys = [\"g\"], default = \"16\" }]\n"),
              "l.toml:6:50: each of [[layer]] numbers default must be a whole number");
    EXPECT_EQ(problem_of("[[layer]]\nloader = \"hre\"\nlabels = [\"x\"]\nrefuses = \"no\"\n"),
              "l.toml:2:10: no [loader.hre] is known; did you mean 'here'?");
}

FoundLayerTensors int4_layer(Shape scales) {
    return {LayerKind::matrix,
            {{".weight", HT_DTYPE_U8, {8, 32}},
             {".s", HT_DTYPE_F32, std::move(scales)},
             {".more", HT_DTYPE_F32, {1}}},
            Json::parse(R"({"format": "x", "params": {"g": "16"}})")};
}

TEST(LoadersFile, ALayerIsHeldAgainstWhatItsLoaderDoes) {
    Loaders loaders;
    loaders.add(R"([loader.here]
layouts = ["comfyui"]
[[layer]]
loader = "here"
labels = ["x"]
weight = ["N", "C"]
dtypes = ["U8"]
let = { K = "2 * C" }
numbers = [{ name = "G", keys = ["g", "params.g"], default = 64 }]
tensors = [{ name = "s", dtypes = ["F32"], shapes = ["N K/G", "1 A A"] }]
must = [{ holds = "K % G == 0", why = "{G} does not divide {K}" }]
)",
                "l.toml");
    EXPECT_EQ(loaders.layer_rule("here", "x", LayerKind::stack), nullptr);
    const LayerRule* rule = loaders.layer_rule("here", "x", LayerKind::matrix);
    ASSERT_NE(rule, nullptr);
    const LayerFinding taken = hold_against(*rule, int4_layer({8, 4}), "Here");
    EXPECT_EQ(taken.fault, "");
    EXPECT_TRUE(taken.packs_columns);
    EXPECT_EQ(taken.ignored, std::vector<std::string>{".more"});
    EXPECT_EQ(hold_against(*rule, int4_layer({1, 7, 7}), "Here").fault, "");
    EXPECT_EQ(hold_against(*rule, int4_layer({1, 7, 6}), "Here").fault,
              "its '.s' has the shape [1, 7, 6], and Here takes [8, 4] or [1, A, A]");
    FoundLayerTensors other = int4_layer({8, 4});
    other.marker["g"] = 48;
    EXPECT_EQ(hold_against(*rule, other, "Here").fault,
              "its '.s' has the shape [8, 4], and Here takes [8, 1] or "
              "[1, A, A]");
    other.tensors[1].shape = {8, 1};
    EXPECT_EQ(hold_against(*rule, other, "Here").fault, "48 does not divide 64");
    other.marker["g"] = nullptr;
    EXPECT_EQ(hold_against(*rule, other, "Here").fault, "its marker has null as g, which is no whole number");
    other.tensors.erase(other.tensors.begin());
    EXPECT_EQ(hold_against(*rule, other, "Here").fault, "it has no weight");
}

TEST(LoadersFile, AnUnknownLoaderIsToldWithThoseThatAreKnown) {
    try {
        Loaders::standard().find("comfyu");
        ADD_FAILURE();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage);
        EXPECT_EQ(error.problem(), "no loader 'comfyu' is known; did you mean 'comfyui'?");
        EXPECT_NE(error.advice().find("bitsandbytes"), std::string::npos);
    }
}

}  // namespace
}  // namespace halftone
