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
