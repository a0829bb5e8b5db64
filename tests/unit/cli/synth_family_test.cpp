#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "core/cli/synth/family.hpp"

namespace halftone::synth {
namespace {

using Table = std::map<std::string, Shape>;

Table table_of(std::string_view family, Scale scale, unsigned layers) {
    Table table;
    for (const TensorSpec& spec : tensors(*find_family(family), scale, layers))
        EXPECT_TRUE(table.emplace(spec.name, spec.shape).second) << "twice: " << spec.name;
    return table;
}

uint64_t parameters(const Table& table) {
    uint64_t sum = 0;
    for (const auto& [name, shape] : table)
        sum += element_count(shape).value();
    return sum;
}

// What flux1-dev.safetensors has for the first of its blocks, and outside of all blocks.
const Table flux_layer = {
    {"double_blocks.0.img_attn.norm.key_norm.scale", {128}},
    {"double_blocks.0.img_attn.norm.query_norm.scale", {128}},
    {"double_blocks.0.img_attn.proj.bias", {3072}},
    {"double_blocks.0.img_attn.proj.weight", {3072, 3072}},
    {"double_blocks.0.img_attn.qkv.bias", {9216}},
    {"double_blocks.0.img_attn.qkv.weight", {9216, 3072}},
    {"double_blocks.0.img_mlp.0.bias", {12288}},
    {"double_blocks.0.img_mlp.0.weight", {12288, 3072}},
    {"double_blocks.0.img_mlp.2.bias", {3072}},
    {"double_blocks.0.img_mlp.2.weight", {3072, 12288}},
    {"double_blocks.0.img_mod.lin.bias", {18432}},
    {"double_blocks.0.img_mod.lin.weight", {18432, 3072}},
    {"double_blocks.0.txt_attn.norm.key_norm.scale", {128}},
    {"double_blocks.0.txt_attn.norm.query_norm.scale", {128}},
    {"double_blocks.0.txt_attn.proj.bias", {3072}},
    {"double_blocks.0.txt_attn.proj.weight", {3072, 3072}},
    {"double_blocks.0.txt_attn.qkv.bias", {9216}},
    {"double_blocks.0.txt_attn.qkv.weight", {9216, 3072}},
    {"double_blocks.0.txt_mlp.0.bias", {12288}},
    {"double_blocks.0.txt_mlp.0.weight", {12288, 3072}},
    {"double_blocks.0.txt_mlp.2.bias", {3072}},
    {"double_blocks.0.txt_mlp.2.weight", {3072, 12288}},
    {"double_blocks.0.txt_mod.lin.bias", {18432}},
    {"double_blocks.0.txt_mod.lin.weight", {18432, 3072}},
    {"final_layer.adaLN_modulation.1.bias", {6144}},
    {"final_layer.adaLN_modulation.1.weight", {6144, 3072}},
    {"final_layer.linear.bias", {64}},
    {"final_layer.linear.weight", {64, 3072}},
    {"guidance_in.in_layer.bias", {3072}},
    {"guidance_in.in_layer.weight", {3072, 256}},
    {"guidance_in.out_layer.bias", {3072}},
    {"guidance_in.out_layer.weight", {3072, 3072}},
    {"img_in.bias", {3072}},
    {"img_in.weight", {3072, 64}},
    {"single_blocks.0.linear1.bias", {21504}},
    {"single_blocks.0.linear1.weight", {21504, 3072}},
    {"single_blocks.0.linear2.bias", {3072}},
    {"single_blocks.0.linear2.weight", {3072, 15360}},
    {"single_blocks.0.modulation.lin.bias", {9216}},
    {"single_blocks.0.modulation.lin.weight", {9216, 3072}},
    {"single_blocks.0.norm.key_norm.scale", {128}},
    {"single_blocks.0.norm.query_norm.scale", {128}},
    {"single_blocks.1.linear1.bias", {21504}},
    {"single_blocks.1.linear1.weight", {21504, 3072}},
    {"single_blocks.1.linear2.bias", {3072}},
    {"single_blocks.1.linear2.weight", {3072, 15360}},
    {"single_blocks.1.modulation.lin.bias", {9216}},
    {"single_blocks.1.modulation.lin.weight", {9216, 3072}},
    {"single_blocks.1.norm.key_norm.scale", {128}},
    {"single_blocks.1.norm.query_norm.scale", {128}},
    {"time_in.in_layer.bias", {3072}},
    {"time_in.in_layer.weight", {3072, 256}},
    {"time_in.out_layer.bias", {3072}},
    {"time_in.out_layer.weight", {3072, 3072}},
    {"txt_in.bias", {3072}},
    {"txt_in.weight", {3072, 4096}},
    {"vector_in.in_layer.bias", {3072}},
    {"vector_in.in_layer.weight", {3072, 768}},
    {"vector_in.out_layer.bias", {3072}},
    {"vector_in.out_layer.weight", {3072, 3072}},
};

const Table t5xxl_layer = {
    {"encoder.block.0.layer.0.SelfAttention.k.weight", {4096, 4096}},
    {"encoder.block.0.layer.0.SelfAttention.o.weight", {4096, 4096}},
    {"encoder.block.0.layer.0.SelfAttention.q.weight", {4096, 4096}},
    {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", {32, 64}},
    {"encoder.block.0.layer.0.SelfAttention.v.weight", {4096, 4096}},
    {"encoder.block.0.layer.0.layer_norm.weight", {4096}},
    {"encoder.block.0.layer.1.DenseReluDense.wi_0.weight", {10240, 4096}},
    {"encoder.block.0.layer.1.DenseReluDense.wi_1.weight", {10240, 4096}},
    {"encoder.block.0.layer.1.DenseReluDense.wo.weight", {4096, 10240}},
    {"encoder.block.0.layer.1.layer_norm.weight", {4096}},
    {"encoder.final_layer_norm.weight", {4096}},
    {"shared.weight", {32128, 4096}},
};

TEST(SynthFamily, OneLayerOfFluxHasTheNamesAndShapesOfTheRealModel) {
    EXPECT_EQ(table_of("flux", Scale::full, 1), flux_layer);
}

TEST(SynthFamily, OneLayerOfT5HasTheNamesAndShapesOfTheRealModel) {
    EXPECT_EQ(table_of("t5xxl", Scale::full, 1), t5xxl_layer);
}

TEST(SynthFamily, TheWholeModelsHaveAsManyTensorsAndParametersAsTheRealOnes) {
    const Table flux = table_of("flux", Scale::full, find_family("flux")->layers);
    EXPECT_EQ(flux.size(), 780U);
    EXPECT_EQ(parameters(flux), 11'901'408'320U);
    EXPECT_TRUE(flux.contains("double_blocks.18.txt_mod.lin.weight"));
    EXPECT_TRUE(flux.contains("single_blocks.37.linear1.weight"));

    const Table t5xxl = table_of("t5xxl", Scale::full, find_family("t5xxl")->layers);
    EXPECT_EQ(t5xxl.size(), 219U);
    EXPECT_EQ(parameters(t5xxl), 4'762'310'656U);
    EXPECT_TRUE(t5xxl.contains("encoder.block.23.layer.1.DenseReluDense.wi_1.weight"));
}

TEST(SynthFamily, EveryScaleHasTheSameNames) {
    for (const Family& family : families()) {
        std::set<std::set<std::string>> names;
        for (const Scale scale : {Scale::tiny, Scale::small, Scale::full}) {
            std::set<std::string> of_scale;
            for (const auto& [name, shape] : table_of(family.name, scale, 3))
                of_scale.insert(name);
            names.insert(of_scale);
        }
        EXPECT_EQ(names.size(), 1U) << family.name;
    }
}

TEST(SynthFamily, MatricesOfBlocksCanBeCutIntoBlocksOf64) {
    for (const Family& family : families())
        for (const Scale scale : {Scale::tiny, Scale::small, Scale::full})
            for (const TensorSpec& spec : tensors(family, scale, 1)) {
                if (spec.kind != Kind::matrix) continue;
                ASSERT_EQ(spec.shape.size(), 2U) << spec.name;
                EXPECT_EQ(spec.shape[0] % 64, 0U) << spec.name;
                EXPECT_EQ(spec.shape[1] % 64, 0U) << spec.name;
            }
}

TEST(SynthFamily, OneTinyLayerIsLessThanTwoMegabytes) {
    for (const Family& family : families())
        EXPECT_LT(2 * parameters(table_of(family.name, Scale::tiny, 1)), 2'000'000U) << family.name;
}

TEST(SynthFamily, UnknownNamesAreNotFound) {
    EXPECT_EQ(find_family("fluks"), nullptr);
    EXPECT_FALSE(find_scale("huge").has_value());
    EXPECT_EQ(find_scale("full"), Scale::full);
}

}  // namespace
}  // namespace halftone::synth
