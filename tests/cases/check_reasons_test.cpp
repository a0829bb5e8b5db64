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

TEST_F(Reasons, OfALayerWithoutAMarkerItIsThatAndARunWritesOne) {
    write(fp8("a"));
    expect_refused("comfyui", {"it has no marker, nor an entry in the header, and so ComfyUI does not take "
                               "it for quantized\n  halftone run with this file as its input writes one"});
    expect_unsaid("its label is ''", said("comfyui"));
    expect_unsaid("writes one", said("bitsandbytes"));
    std::filesystem::rename(folder_ / "in.safetensors", folder_ / "bare.safetensors");
    write_text(folder_ / "p.toml",
               "[input]\npath = \"bare.safetensors\"\n[output]\npath = \"in.safetensors\"\n"
               "[model]\nprofile = \"none\"\n[quantize]\nformat = \"fp8\"\n");
    ASSERT_EQ(halftone({"run", (folder_ / "p.toml").string()}).code, 0);
    expect_taken("comfyui", "labelled 'float8_e4m3fn' (fp8)");
}

TEST_F(Reasons, OfAMarkerThatNamesNoFormatItIsThat) {
    for (const char* text : {"{}", R"({"format": null})", R"({"full_precision_matrix_mult": true})"}) {
        std::vector<NewTensor> tensors = fp8("a");
        tensors.push_back(marker("a", text));
        write(tensors);
        expect_refused("comfyui", {"its marker names no format"});
    }
    write(fp8("a"), header("a", "{}"));
    expect_refused("comfyui", {"its entry in the header names no format"});
}

TEST_F(Reasons, TheForkLoadsCodebooksAndThenFails) {
    run("format = \"nf4\"\n");
    expect_refused("comfyui-fork", {"the ComfyUI fork does not work with the label 'bnb_nf4': it loads the "
                                    "tensors and fails at the first use"});
    expect_unsaid("Unsupported quantization format", said("comfyui-fork"));
    write({zeros("a.weight", HT_DTYPE_U8, {128}), zeros("a.absmax", HT_DTYPE_F32, {4}),
           marker("a", R"({"format": "bnb_fp4", "params": {"group_size": 64}})")});
    expect_refused("comfyui-fork", {"does not work with the label 'bnb_fp4'"});
}

TEST_F(Reasons, ARuleThatChangesWhetherALabelIsTakenDropsWhatItsFormatRemarks) {
    constexpr const char* remark = "mainline ComfyUI refuses the file";
    run("format = \"int8\"\nscaling = \"block\"\n");
    const std::string rule = "[[label]]\nloader = \"comfyui\"\nlabel = \"int8_blockwise\"\ntakes = true\n";
    expect_unsaid(remark, said("comfyui", {"--loaders", own_loaders(rule)}));
    const std::string with_remark = said("comfyui", {"--loaders", own_loaders(rule + "remark = \"slow\"\n")});
    EXPECT_NE(with_remark.find("\n  slow\n"), std::string::npos) << with_remark;
    EXPECT_NE(said("comfyui-fork").find(remark), std::string::npos) << "where no rule changes it, it stays";
    const std::string unchanged =
        "[[label]]\nloader = \"comfyui-fork\"\nlabel = \"int8_blockwise\"\ntakes = true\n";
    EXPECT_NE(said("comfyui-fork", {"--loaders", own_loaders(unchanged)}).find(remark), std::string::npos);
}

TEST_F(Reasons, OfARuleThatRefusesALabelItIsItsRemark) {
    run("format = \"fp8\"\n");
    const std::string rule = "[[label]]\nloader = \"comfyui\"\nlabel = \"float8_e4m3fn\"\ntakes = false\n";
    const std::string bare = said("comfyui", {"--loaders", own_loaders(rule)});
    EXPECT_NE(bare.find("\n  ComfyUI does not work with the label 'float8_e4m3fn'\n"), std::string::npos)
        << bare;
    const std::string told = said("comfyui", {"--loaders", own_loaders(rule + "remark = \"too old\"\n")});
    EXPECT_NE(told.find("does not work with the label 'float8_e4m3fn': too old\n"), std::string::npos)
        << told;
    write({zeros("a.weight", HT_DTYPE_U8, {4, 4}), marker("a", R"({"format": "int3_magic"})")});
    const std::string foreign =
        "[[label]]\nloader = \"comfyui\"\nlabel = \"int3_magic\"\ntakes = false\nremark = \"too new\"\n";
    const std::string of_foreign = said("comfyui", {"--loaders", own_loaders(foreign)});
    EXPECT_NE(of_foreign.find("does not work with the label 'int3_magic': too new\n"), std::string::npos)
        << of_foreign;
}

TEST_F(Reasons, WhatIsRefusedHasNoRemarksOfWhatIsTaken) {
    constexpr const char* remark = "dequantized before multiplying on older hardware";
    write(mxfp8("a", HT_DTYPE_U8));
    expect_taken("comfyui", remark);
    write(mxfp8("a", HT_DTYPE_F8_E8M0));
    expect_refused("comfyui", {"does not know the type F8_E8M0"});
    expect_unsaid(remark, said("comfyui"));
    write(mxfp8("model.embed_tokens", HT_DTYPE_U8));
    expect_refused("comfyui", {"ComfyUI takes embedding tables as "});
    expect_unsaid(remark, said("comfyui"));
    const Json found = Json::parse(said("comfyui", {"--json"}));
    EXPECT_EQ(found["layers"][0]["remarks"], Json::array());
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
