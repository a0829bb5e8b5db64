// Choices under other names, and written as numbers: in a pipeline, with --set, in what is stored and
// recorded.

#include <gtest/gtest.h>

#include "tests/cases/check.hpp"

namespace halftone::test {
namespace {

class Choices : public Check {
  protected:
    std::string recipe() {
        const Checkpoint made = Checkpoint::open(folder_ / "in.safetensors");
        for (const auto& [key, value] : made.metadata())
            if (value.find("[quantize]") != std::string::npos) return value;
        return "";
    }
};

TEST_F(Choices, AnotherNameLeadsToTheSameFile) {
    run("format = \"fp8\"\nscaling = \"block\"\n");
    const std::string by_name = file_text(folder_ / "in.safetensors");
    ASSERT_NE(recipe().find("scaling = \"block\"\n"), std::string::npos) << recipe();
    run("format = \"fp8\"\nscaling = \"block2d\"\n");
    EXPECT_EQ(recipe().find("block2d"), std::string::npos) << recipe();
    EXPECT_TRUE(file_text(folder_ / "in.safetensors") == by_name);
    expect_taken("comfyui-fork", "(fp8 scaling=block): blocks.0.proj");

    run("format = \"fp8\"\n");
    const Finished set =
        halftone({"run", (folder_ / "p.toml").string(), "--set", "quantize.scaling=block2d"});
    ASSERT_EQ(set.code, 0) << set.err;
    EXPECT_TRUE(file_text(folder_ / "in.safetensors") == by_name);
}

TEST_F(Choices, ADefaultIsWhatComfyUiLoads) {
    run("format = \"int8\"\n");
    expect_taken("comfyui", "(int8), since 2026-06: blocks.0.proj");
    EXPECT_NE(recipe().find("scaling = \"row\"\n"), std::string::npos) << recipe();
}

}  // namespace
}  // namespace halftone::test
