// `halftone check`: what it gives as the reason, and that nothing beside it is untrue.

#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/cases/check.hpp"

namespace halftone::test {
namespace {

class Reasons : public Check {
  protected:
    std::string said(const std::string& loader, std::vector<std::string> more = {}) {
        return check(loader, std::move(more)).out;
    }
    void expect_unsaid(const std::string& words, const std::string& by) {
        EXPECT_EQ(by.find(words), std::string::npos) << by;
    }
    std::string own_loaders(const std::string& toml) {
        write_text(folder_ / "mine.toml", toml);
        return (folder_ / "mine.toml").string();
    }
    std::vector<NewTensor> fp8(const std::string& layer) {
        return {zeros(layer + ".weight", HT_DTYPE_F8_E4M3, {16, 16}),
                float_tensor(layer + ".weight_scale", HT_DTYPE_F32, {}, std::vector{1.0F})};
    }
    std::vector<NewTensor> mxfp8(const std::string& layer, ht_dtype scale) {
        return {zeros(layer + ".weight", HT_DTYPE_F8_E4M3, {32, 32}),
                zeros(layer + ".weight_scale", scale, {128, 4}), marker(layer, R"({"format": "mxfp8"})")};
    }
};

TEST_F(Reasons, LabelsAreTakenSinceTheMonthInWhichTheirLoaderLearnedThem) {
    run("format = \"mxfp8\"\n");
    expect_taken("comfyui", "labelled 'mxfp8' (mxfp8), since 2026-03");
    run("format = \"int8\"\nscaling = \"tensor\"\n");
    expect_taken("comfyui", ", since 2026-06");
    run("format = \"int8\"\nscaling = \"row\"\n");
    expect_taken("comfyui", ", since 2026-06");
}

TEST_F(Reasons, AStateWithAnUnknownKeyStopsBitsandbytes) {
    const auto with_state = [&](const std::string& state) {
        const auto* first = reinterpret_cast<const std::byte*>(state.data());
        write({zeros("a.weight", HT_DTYPE_U8, {128, 1}), zeros("a.weight.absmax", HT_DTYPE_F32, {4}),
               zeros("a.weight.quant_map", HT_DTYPE_F32, {16}),
               NewTensor{"a.weight.quant_state.bitsandbytes__nf4",
                         HT_DTYPE_U8,
                         {state.size()},
                         {first, first + state.size()}}},
              {{"format", "pt"}});
    };
    const std::string known =
        R"({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [16, 16])";
    with_state(known + "}");
    expect_taken("bitsandbytes", "taken: 1 layer");
    with_state(known + R"(, "colour": {"is": "blue"}})");
    expect_refused("bitsandbytes", {"its quant_state has a key 'colour', which bitsandbytes does not know"});
}

}  // namespace
}  // namespace halftone::test
