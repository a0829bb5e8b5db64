#include <algorithm>
#include <gtest/gtest.h>
#include <set>

#include "core/base/error.hpp"
#include "core/checkpoint/writer.hpp"
#include "tests/unit/base/temporary_folder.hpp"
#include "tests/unit/checkpoint/written.hpp"

namespace halftone {
namespace {

using namespace testing_checkpoints;

std::vector<std::string> names_of(const std::vector<OutputTensor>& tensors) {
    std::vector<std::string> names;
    for (const OutputTensor& one : tensors)
        names.push_back(one.name);
    return names;
}

std::vector<std::vector<std::string>> names_of(const std::vector<std::vector<OutputTensor>>& shards) {
    std::vector<std::vector<std::string>> names;
    for (const auto& shard : shards)
        names.push_back(names_of(shard));
    return names;
}

// Made with the reference writer: safetensors.numpy.save({"b": zeros((2, 2), float32), "a": zeros(2,
// float16), "z\n\"é": zeros((), uint8), "c": zeros(0, float32)}, {"format": "pt"}).
TEST(Layout, IsByteForByteTheReferenceWriters) {
    const FileLayout layout = lay_out({tensor("b", HT_DTYPE_F32, {2, 2}), tensor("a", HT_DTYPE_F16, {2}),
                                       tensor("z\n\"é", HT_DTYPE_U8, {}), tensor("c", HT_DTYPE_F32, {0})},
                                      {{"format", "pt"}});
    const std::string json =
        R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
        R"("c":{"dtype":"F32","shape":[0],"data_offsets":[16,16]},"a":{"dtype":"F16","shape":[2],"data_offsets":[16,20]},)"
        R"("z\n\"é":{"dtype":"U8","shape":[],"data_offsets":[20,21]}})";
    EXPECT_EQ(layout.header, std::string("\x08\x01\0\0\0\0\0\0", 8) + json + "       ");
    EXPECT_EQ(layout.size, layout.header.size() + 21);
}

TEST(Layout, OrdersByWidthAndThenByName) {
    std::vector<OutputTensor> tensors;
    for (ht_dtype dtype = HT_DTYPE_BOOL; dtype <= HT_DTYPE_U64; ++dtype)
        for (const char* name : {"b", "a"})
            tensors.push_back(tensor(name + std::to_string(dtype), dtype, {4}));
    const FileLayout layout = lay_out(tensors, {});
    for (size_t i = 0; i < layout.tensors.size(); ++i) {
        const auto dtype = static_cast<ht_dtype>(HT_DTYPE_U64 - i / 2);
        EXPECT_EQ(layout.tensors[i].dtype, dtype);
        EXPECT_EQ(layout.tensors[i].name, (i % 2 ? "b" : "a") + std::to_string(dtype));
    }
}

TEST(Layout, AlignsWithoutGaps) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 200; ++round) {
        const FileLayout layout =
            lay_out(random_tensors(random, random() % 20), {{"k", std::string(round % 9, 'x')}});
        EXPECT_EQ(layout.header.size() % 8, 0U);
        uint64_t end = layout.header.size();
        for (const OutputTensor& one : layout.tensors) {
            EXPECT_EQ(one.offset, end);
            if (dtype::bits(one.dtype) % 8 == 0) {
                EXPECT_EQ(one.offset % (dtype::bits(one.dtype) / 8), 0U);
            }
            end += one.bytes;
        }
        EXPECT_EQ(layout.size, end);
    }
}

TEST(Layout, RefusesWhatNoReaderWouldTake) {
    const OutputTensor one = tensor("a", HT_DTYPE_U8, {1});
    EXPECT_THROW(lay_out({one, one}, {}), Error);
    EXPECT_THROW(lay_out({one}, {{"k", "1"}, {"k", "2"}}), Error);
    EXPECT_THROW(lay_out({tensor("__metadata__", HT_DTYPE_U8, {1})}, {}), Error);
    EXPECT_THROW(lay_out({tensor("\xFF", HT_DTYPE_U8, {1})}, {}), Error);
    EXPECT_THROW(lay_out({tensor("a", HT_DTYPE_F4, {1})}, {}), Error);
    EXPECT_THROW(lay_out({tensor("a", HT_DTYPE_F32, {UINT64_MAX, 2})}, {}), Error);
    EXPECT_THROW(lay_out({tensor("a", HT_DTYPE_U8, {uint64_t{1} << 63}),
                          tensor("b", HT_DTYPE_U8, {uint64_t{1} << 63})},
                         {}),
                 Error);
    EXPECT_THROW(lay_out({tensor("a", 0, {1})}, {}), Error);
    EXPECT_THROW(lay_out({one}, {{"k", std::string(100'000'000, ' ')}}), Error);
}

TEST(Shards, AreOneWithoutASize) {
    const auto shards =
        split_into_shards({tensor("b", HT_DTYPE_U8, {100}), tensor("a", HT_DTYPE_U8, {100})}, 0);
    ASSERT_EQ(shards.size(), 1U);
    EXPECT_EQ(names_of(shards[0]), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(split_into_shards({}, 100).size(), 1U);
}

TEST(Shards, KeepALayerTogether) {
    const auto shards = split_into_shards(
        {tensor("a.1.weight", HT_DTYPE_U8, {60}), tensor("a.1.bias", HT_DTYPE_U8, {10}),
         tensor("a.1.weight_scale", HT_DTYPE_U8, {10}), tensor("a.1.norm.weight", HT_DTYPE_U8, {10}),
         tensor("a.2.weight", HT_DTYPE_U8, {30}), tensor("a.2.comfy_quant", HT_DTYPE_U8, {10}),
         tensor("a.2.weight.absmax", HT_DTYPE_U8, {10}),
         tensor("a.2.weight.quant_state.x", HT_DTYPE_U8, {10})},
        100);
    EXPECT_EQ(names_of(shards),
              (std::vector<std::vector<std::string>>{
                  {"a.1.bias", "a.1.weight", "a.1.weight_scale", "a.1.norm.weight"},
                  {"a.2.comfy_quant", "a.2.weight", "a.2.weight.absmax", "a.2.weight.quant_state.x"}}));
}

TEST(Shards, GiveALargeTensorOneOfItsOwn) {
    const auto shards = split_into_shards(
        {tensor("a.bias", HT_DTYPE_U8, {10}), tensor("a.weight", HT_DTYPE_U8, {500}),
         tensor("a.weight_scale", HT_DTYPE_U8, {10}), tensor("b.weight", HT_DTYPE_U8, {80})},
        100);
    EXPECT_EQ(names_of(shards), (std::vector<std::vector<std::string>>{
                                    {"a.bias"}, {"a.weight"}, {"a.weight_scale", "b.weight"}}));
}

TEST(Shards, HoldEveryTensorOnceAndNoMoreThanTheirSize) {
    std::mt19937_64 random(5);
    for (int round = 0; round < 300; ++round) {
        const std::vector<OutputTensor> tensors = random_tensors(random, 1 + random() % 30);
        const uint64_t size = 1 + random() % 200;
        std::multiset<std::string> left;
        for (const OutputTensor& one : tensors)
            left.insert(one.name);
        for (const auto& shard : split_into_shards(tensors, size)) {
            EXPECT_FALSE(shard.empty());
            uint64_t bytes = 0;
            for (const OutputTensor& one : shard) {
                bytes += one.bytes;
                EXPECT_EQ(left.erase(one.name), 1U);
            }
            EXPECT_TRUE(bytes <= size || shard.size() == 1 ||
                        std::count_if(shard.begin(), shard.end(),
                                      [](const auto& one) { return one.bytes > 0; }) == 1);
        }
        EXPECT_TRUE(left.empty());
    }
}

TEST(Shards, AreNamedAfterTheOutput) {
    EXPECT_EQ(shard_path("x/model.safetensors", 0, 4), "x/model-00001-of-00004.safetensors");
    EXPECT_EQ(shard_path("model.v2.sft", 122'999, 123'456), "model.v2-123000-of-123456.sft");
    EXPECT_EQ(shard_path("model", 1, 2), "model-00002-of-00002");
    EXPECT_EQ(index_path("x/model.safetensors"), "x/model.safetensors.index.json");
}

}  // namespace
}  // namespace halftone
