#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "tests/cases/malformed/corpus.hpp"
#include "tests/unit/base/temporary_folder.hpp"

namespace halftone {
namespace {

class Header : public testing::Test {
  protected:
    ParsedHeader parse(const std::string& contents, const HeaderLimits& limits = {}) {
        return parse_header(os::File::open_to_read(folder_.write("file", contents)), limits);
    }
    ParsedHeader parse_json(const std::string& json, size_t data = 0) {
        return parse(malformed::safetensors(json, data));
    }

    TemporaryFolder folder_;
};

TEST_F(Header, PutsTensorsInTheOrderOfTheirData) {
    const std::string json =
        R"({"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})";
    const ParsedHeader header = parse_json(json, 16);
    ASSERT_EQ(header.tensors.size(), 2U);
    EXPECT_EQ(header.tensors[0].name, "a");
    EXPECT_EQ(header.tensors[0].dtype, HT_DTYPE_F32);
    EXPECT_EQ(header.tensors[0].shape, Shape());
    EXPECT_EQ(header.tensors[0].bytes, 4U);
    EXPECT_EQ(header.tensors[0].offset, 8 + json.size());
    EXPECT_EQ(header.tensors[1].name, "b");
    EXPECT_EQ(header.tensors[1].dtype, HT_DTYPE_BF16);
    EXPECT_EQ(header.tensors[1].shape, (Shape{2, 3}));
    EXPECT_EQ(header.tensors[1].offset, 8 + json.size() + 4);
    EXPECT_EQ(header.json_bytes, json.size());
    EXPECT_TRUE(header.remarks.empty());
}

TEST_F(Header, TakesNoTensorsAtAll) {
    EXPECT_TRUE(parse_json("{}").tensors.empty());
}

TEST_F(Header, TakesWhiteSpaceAround) {
    EXPECT_EQ(parse_json(" \n\t\r{ } \n   ").json_bytes, 12U);
}

TEST_F(Header, TakesEmptyTensorsAtAnyBoundary) {
    const std::string empty = malformed::entry("\"F64\"", "[3,0,5]", "[8,8]");
    const std::string end = malformed::entry("\"F64\"", "[0]", "[16,16]");
    const std::string json = R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"e":)" + empty +
                             R"(,"b":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},"z":)" + end + "}";
    const ParsedHeader header = parse_json(json, 16);
    ASSERT_EQ(header.tensors.size(), 4U);
    EXPECT_EQ(header.tensors[1].name, "e");
    EXPECT_EQ(header.tensors[1].bytes, 0U);
    EXPECT_EQ(header.tensors[3].name, "z");
}

TEST_F(Header, TakesSubByteTypesThatFillBytes) {
    const ParsedHeader header = parse_json(
        R"({"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]},"b":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[3,6]}})",
        6);
    EXPECT_EQ(header.tensors[0].bytes, 3U);
    EXPECT_EQ(header.tensors[1].bytes, 3U);
}

TEST_F(Header, TakesNamesThatNeedEscapes) {
    const ParsedHeader header = parse_json(
        R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\n\"\\\u00e9€":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
        2);
    EXPECT_EQ(header.tensors[0].name, "");
    EXPECT_EQ(header.tensors[1].name, "\n\"\\é€");
}

TEST_F(Header, KeepsMetadataVerbatimAndInOrder) {
    const ParsedHeader header = parse_json(R"({"__metadata__":{"z":"{\"a\": 1}","a":"é\u0000\n","":""}})");
    const Metadata expected = {{"z", "{\"a\": 1}"}, {"a", std::string("é\0\n", 4)}, {"", ""}};
    EXPECT_EQ(header.metadata, expected);
}

TEST_F(Header, IgnoresUnknownMembersWithARemark) {
    const std::string entry =
        R"({"dtype":"U8","strides":[1,{"x":[null,true,-1.5e3]}],"shape":[1],"note":"","data_offsets":[0,1]})";
    const ParsedHeader header = parse_json("{\"a\":" + entry + "}", 1);
    ASSERT_EQ(header.tensors.size(), 1U);
    ASSERT_EQ(header.remarks.size(), 1U);
    EXPECT_NE(header.remarks[0].find("'strides'"), std::string::npos) << header.remarks[0];
}

TEST_F(Header, TakesExactlyTheRankThatTheContractHas) {
    EXPECT_EQ(parse_json(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,2],"data_offsets":[0,2]}})", 2)
                  .tensors[0]
                  .shape.size(),
              8U);
}

TEST_F(Header, HashesLengthAndText) {
    const std::string contents = malformed::good();
    const size_t header_size = contents.size() - 16;
    Sha256 hash;
    hash.add(std::as_bytes(std::span(contents)).first(header_size));
    EXPECT_EQ(parse(contents).sha256, hash.hex());
    std::string other_data = contents;
    other_data.back() = 'x';
    EXPECT_EQ(parse(other_data).sha256, parse(contents).sha256);
    EXPECT_NE(parse_json("{} ").sha256, parse_json("{}").sha256);
}

// The hash must cover every piece, and names must survive a break in their middle.
TEST_F(Header, ReadsTextOfManyPieces) {
    std::string json = "{\"__metadata__\":{\"long\":\"" + malformed::repeated("é€😀\\n", 100'000) + "\"}";
    for (int i = 0; i < 20'000; ++i)
        json += ",\"layers." + std::to_string(i) + ".wéight\":" +
                malformed::entry("\"U8\"", "[1]",
                                 std::string("[") + std::to_string(i) + "," + std::to_string(i + 1) + "]");
    const std::string contents = malformed::safetensors(json + "}", 20'000);
    Sha256 hash;
    hash.add(std::as_bytes(std::span(contents)).first(contents.size() - 20'000));
    const ParsedHeader header = parse(contents);
    EXPECT_EQ(header.sha256, hash.hex());
    ASSERT_EQ(header.tensors.size(), 20'000U);
    EXPECT_EQ(header.tensors[12'345].name, "layers.12345.wéight");
    EXPECT_EQ(header.metadata[0].second, malformed::repeated("é€😀\n", 100'000));
}

TEST_F(Header, ObeysItsLimits) {
    const std::string json = R"({"a":{"x":[[[0]]],"dtype":"U8","shape":[0],"data_offsets":[0,0]}})";
    const std::string contents = malformed::safetensors(json);
    EXPECT_NO_THROW(parse(contents, {.json_bytes = json.size(), .depth = 5}));
    EXPECT_THROW(parse(contents, {.json_bytes = json.size() - 1, .depth = 5}), Error);
    EXPECT_THROW(parse(contents, {.json_bytes = json.size(), .depth = 4}), Error);
    const std::string two = malformed::safetensors(R"({"__metadata__":{"a":"","b":""}})");
    EXPECT_NO_THROW(parse(two, {.metadata_entries = 2}));
    EXPECT_THROW(parse(two, {.metadata_entries = 1}), Error);
}

TEST_F(Header, TellsWhatAnotherKindOfFileIs) {
    try {
        parse("version https://git-lfs.github.com/spec/v1\n");
        FAIL();
    } catch (const Error& error) {
        EXPECT_NE(error.advice().find("git lfs pull"), std::string::npos) << error.advice();
    }
}

}  // namespace
}  // namespace halftone
