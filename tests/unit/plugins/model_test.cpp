#include "plugins/model.hpp"

#include <algorithm>
#include <gtest/gtest.h>

#include "plugins/registry.hpp"
#include "plugins/shared_object.hpp"
#include "tests/unit/plugins/support.hpp"

namespace halftone {
namespace {

using namespace testing_plugins;

HeaderFacts header(std::vector<TensorFacts> tensors,
                   std::vector<std::pair<std::string, std::string>> metadata = {}) {
    std::ranges::sort(tensors, {}, &TensorFacts::name);
    return {std::move(tensors), std::move(metadata)};
}

Model odd() {
    return Model(PluginLibrary::load(plugin_file(fixture("model-odd-verdicts" + SharedObject::suffix())),
                                     make_host()));
}

TEST(Models, ScoreAHeaderByItsNamesShapesAndMetadata) {
    const Model model = odd();
    const Score score = model.score(
        header({{"z", HT_DTYPE_F32, {}}, {"odd.weight", HT_DTYPE_F32, {3, 42}}, {"a", HT_DTYPE_F32, {1}}},
               {{"format", "pt"}, {"family", "odd"}}));
    EXPECT_EQ(score.points, 42);
    EXPECT_EQ(score.evidence, "3 tensors, family odd");
    EXPECT_EQ(model.score(header({{"odd.weigh", HT_DTYPE_F32, {3, 42}}})).points, 0);
    EXPECT_EQ(model.score(header({})).evidence, "0 tensors, family unknown");
}

TEST(Models, AnswersThatCannotBeAreRefused) {
    const Model model = odd();
    const auto decide = [&](const char* name) { return model.decide({}, {name, HT_DTYPE_F32, {2, 2}}); };
    EXPECT_EQ(decide("anything").action, HT_ACTION_QUANTIZE);
    expect_failure(Exit::plugin, {"model-odd-verdicts", "unknown action 9 for 'action'"},
                   [&] { decide("action"); });
    expect_failure(Exit::plugin, {"model-odd-verdicts", "unknown flags (0x100000) for 'flags'"},
                   [&] { decide("flags"); });
    expect_failure(Exit::plugin, {"decide() failed: cannot make up my mind"}, [&] { decide("error"); });
    const Verdict verdict = decide("keep");
    EXPECT_EQ(verdict.action, HT_ACTION_KEEP);
    EXPECT_EQ(verdict.flags, static_cast<uint32_t>(HT_VERDICT_COLUMNS));
    EXPECT_EQ(verdict.reason, std::string(200, 'x')) << "a reason without end is cut at its buffer";
}

// ------------------------------------------------------------------------------------------------- flux,
// t5xxl

class Profiles : public testing::Test {
  protected:
    Registry registry_{bundled_folders(), make_host()};
    std::shared_ptr<const Model> flux_ = registry_.model("flux");
    std::shared_ptr<const Model> t5xxl_ = registry_.model("t5xxl");

    static Verdict decide(const Model& model, const std::string& name) {
        return model.decide({}, {name, HT_DTYPE_BF16, {64, 64}});
    }

    static std::vector<TensorFacts> flux_tensors() {
        return {{"double_blocks.0.img_attn.norm.key_norm.scale", HT_DTYPE_BF16, {128}},
                {"double_blocks.0.img_attn.qkv.weight", HT_DTYPE_BF16, {9216, 3072}},
                {"final_layer.linear.weight", HT_DTYPE_BF16, {64, 3072}},
                {"img_in.weight", HT_DTYPE_BF16, {3072, 64}},
                {"single_blocks.0.linear1.weight", HT_DTYPE_BF16, {21504, 3072}},
                {"time_in.in_layer.weight", HT_DTYPE_BF16, {3072, 256}},
                {"txt_in.weight", HT_DTYPE_BF16, {3072, 4096}},
                {"vector_in.in_layer.weight", HT_DTYPE_BF16, {3072, 768}}};
    }

    static Score score_with(const Model& model, std::vector<TensorFacts> tensors,
                            const std::vector<TensorFacts>& more) {
        tensors.insert(tensors.end(), more.begin(), more.end());
        return model.score(header(std::move(tensors)));
    }
};

TEST_F(Profiles, FluxKnowsItsVariants) {
    const auto evidence = [&](const std::vector<TensorFacts>& more) {
        return score_with(*flux_, flux_tensors(), more).evidence;
    };
    EXPECT_NE(evidence({}).find("schnell"), std::string::npos);
    EXPECT_NE(evidence({{"guidance_in.in_layer.weight", HT_DTYPE_BF16, {3072, 256}}}).find("dev"),
              std::string::npos);
    std::vector<TensorFacts> fill = flux_tensors();
    for (TensorFacts& tensor : fill)
        if (tensor.name == "img_in.weight") tensor.shape = {3072, 384};
    EXPECT_NE(flux_->score(header(fill)).evidence.find("fill"), std::string::npos);
    std::vector<TensorFacts> longcat;
    for (TensorFacts tensor : flux_tensors()) {
        if (tensor.name == "txt_in.weight") tensor.shape = {3072, 3584};
        if (tensor.name != "vector_in.in_layer.weight") longcat.push_back(tensor);
    }
    EXPECT_NE(flux_->score(header(longcat)).evidence.find("LongCat"), std::string::npos);
    EXPECT_NE(evidence({{"double_blocks.0.img_mlp.gate_proj.weight", HT_DTYPE_BF16, {1, 1}},
                        {"txt_norm.weight", HT_DTYPE_BF16, {1}}})
                  .find("Ovis"),
              std::string::npos);
}

TEST_F(Profiles, FluxDoesNotTakeItsRelatives) {
    EXPECT_EQ(flux_->score(header(flux_tensors())).points, 100);
    for (const char* other :
         {"double_stream_modulation_img.lin.weight", "distilled_guidance_layer.norms.0.scale",
          "distilled_guidance_layer.0.norms.0.weight", "nerf_blocks.0.norm.scale"})
        EXPECT_EQ(score_with(*flux_, flux_tensors(), {{other, HT_DTYPE_BF16, {4, 4}}}).points, 0) << other;
    for (const char* missing : {"double_blocks.0.img_attn.norm.key_norm.scale", "img_in.weight"}) {
        std::vector<TensorFacts> tensors;
        for (const TensorFacts& tensor : flux_tensors())
            if (tensor.name != missing) tensors.push_back(tensor);
        EXPECT_EQ(flux_->score(header(tensors)).points, 0) << missing;
    }
    EXPECT_EQ(flux_->score(header({})).points, 0);
    EXPECT_EQ(flux_->score(header({{"zzz", HT_DTYPE_BF16, {1}}})).points, 0);
}

TEST_F(Profiles, FluxKeepsItsEndsAndMarksWhatDetectorsRead) {
    for (const char* prefix : {"", "model.diffusion_model."}) {
        const std::string at = prefix;
        const Verdict image = decide(*flux_, at + "img_in.weight");
        EXPECT_EQ(image.action, HT_ACTION_KEEP);
        EXPECT_EQ(image.flags, static_cast<uint32_t>(HT_VERDICT_COLUMNS));
        EXPECT_NE(image.reason, "");
        EXPECT_EQ(decide(*flux_, at + "txt_in.weight").flags, static_cast<uint32_t>(HT_VERDICT_COLUMNS));
        EXPECT_EQ(decide(*flux_, at + "img_in.bias").action, HT_ACTION_KEEP);
        EXPECT_EQ(decide(*flux_, at + "img_in.bias").flags, 0u);
        EXPECT_EQ(decide(*flux_, at + "final_layer.adaLN_modulation.1.weight").action, HT_ACTION_KEEP);
        EXPECT_EQ(decide(*flux_, at + "distilled_guidance_layer.in_proj.weight").action, HT_ACTION_KEEP);
        const Verdict vector = decide(*flux_, at + "vector_in.in_layer.weight");
        EXPECT_EQ(vector.action, HT_ACTION_QUANTIZE);
        EXPECT_EQ(vector.flags, static_cast<uint32_t>(HT_VERDICT_COLUMNS));
        for (const char* name : {"double_blocks.0.img_attn.qkv.weight", "double_blocks.18.txt_mod.lin.weight",
                                 "single_blocks.37.linear2.weight", "time_in.in_layer.weight"}) {
            EXPECT_EQ(decide(*flux_, at + name).action, HT_ACTION_QUANTIZE) << name;
            EXPECT_EQ(decide(*flux_, at + name).flags, 0u) << name;
        }
    }
}

TEST_F(Profiles, T5xxlIsKnownByItsFeedForward) {
    const std::string wide = "encoder.block.23.layer.1.DenseReluDense.wi_1.weight";
    const auto evidence = [&](uint64_t rows) {
        return t5xxl_->score(header({{wide, HT_DTYPE_BF16, {rows, 4096}}}));
    };
    EXPECT_EQ(evidence(10240).points, 100);
    EXPECT_NE(evidence(10240).evidence.find("T5-XXL"), std::string::npos);
    EXPECT_NE(evidence(5120).evidence.find("T5-XL"), std::string::npos);
    EXPECT_EQ(evidence(777).points, 0);
    EXPECT_EQ(
        t5xxl_->score(header({{"encoder.block.0.layer.0.SelfAttention.k.weight", HT_DTYPE_BF16, {768, 768}}}))
            .points,
        50);
    EXPECT_EQ(t5xxl_->score(header(flux_tensors())).points, 0);
    EXPECT_EQ(flux_->score(header({{wide, HT_DTYPE_BF16, {10240, 4096}}})).points, 0);
}

TEST_F(Profiles, T5xxlRemovesTheDecoderAndKeepsTables) {
    for (const char* name : {"decoder.block.0.layer.0.SelfAttention.q.weight", "lm_head.weight",
                             "decoder.final_layer_norm.weight", "decoder.embed_tokens.weight"})
        EXPECT_EQ(decide(*t5xxl_, name).action, HT_ACTION_REMOVE) << name;
    for (const char* name :
         {"shared.weight", "encoder.embed_tokens.weight", "encoder.final_layer_norm.weight",
          "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
          "encoder.block.3.layer.1.layer_norm.weight"}) {
        EXPECT_EQ(decide(*t5xxl_, name).action, HT_ACTION_KEEP) << name;
        EXPECT_NE(decide(*t5xxl_, name).reason, "") << name;
    }
    for (const char* name : {"encoder.block.0.layer.0.SelfAttention.q.weight",
                             "encoder.block.23.layer.1.DenseReluDense.wo.weight"})
        EXPECT_EQ(decide(*t5xxl_, name).action, HT_ACTION_QUANTIZE) << name;
}

TEST_F(Profiles, T5xxlAlwaysAsksForInputScales) {
    for (const char* name : {"shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight",
                             "encoder.block.23.layer.1.DenseReluDense.wi_1.weight"})
        EXPECT_TRUE(decide(*t5xxl_, name).flags & HT_VERDICT_INPUT_SCALE) << name;
    EXPECT_TRUE(decide(*t5xxl_, "encoder.block.23.layer.1.DenseReluDense.wi_1.weight").flags &
                HT_VERDICT_ROWS);
}

}  // namespace
}  // namespace halftone
