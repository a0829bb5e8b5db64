#include "core/tensor/dtype.hpp"

#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <string>

namespace halftone {
namespace {

// The element types of safetensors and their widths.
const std::map<std::string, unsigned> widths = {
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};

TEST(Dtype, KnowsEveryNameAndWidthOfSafetensors) {
    ASSERT_EQ(widths.size(), 22u);
    for (const auto& [name, bits] : widths) {
        const auto type = dtype::from_name(name);
        ASSERT_TRUE(type) << name;
        EXPECT_EQ(dtype::name(*type), name);
        EXPECT_EQ(dtype::bits(*type), bits);
        EXPECT_EQ(dtype::is_float(*type), name.starts_with('F') || name == "BF16") << name;
    }
    EXPECT_EQ(dtype::from_name("BF16"), HT_DTYPE_BF16);
    EXPECT_EQ(dtype::from_name("U64"), HT_DTYPE_U64);
}

TEST(Dtype, TakesNamesExactly) {
    for (const char* name : {"", "bf16", "BF16 ", "F8", "F8_E4M3FN", "I4", "unknown"})
        EXPECT_EQ(dtype::from_name(name), std::nullopt) << name;
}

TEST(Dtype, WidensTheFloatsThatWeightsComeIn) {
    for (const auto& [name, bits] : widths) {
        const bool expected = name == "F64" || name == "F32" || name == "F16" || name == "BF16" ||
                              name == "F8_E4M3" || name == "F8_E5M2";
        EXPECT_EQ(dtype::widens(*dtype::from_name(name)), expected) << name;
    }
}

TEST(Dtype, SurvivesNumbersThatAreNone) {
    for (const ht_dtype type :
         {0, -1, 23, std::numeric_limits<ht_dtype>::max(), std::numeric_limits<ht_dtype>::min()}) {
        EXPECT_EQ(dtype::name(type), "unknown");
        EXPECT_EQ(dtype::bits(type), 0u);
        EXPECT_FALSE(dtype::is_float(type));
        EXPECT_FALSE(dtype::widens(type));
    }
}

TEST(ElementCount, MultipliesAndSeesOverflow) {
    EXPECT_EQ(element_count(Shape{}), 1u);
    EXPECT_EQ(element_count(Shape{3072, 64}), 196608u);
    EXPECT_EQ(element_count(Shape{5, 0, 7}), 0u);
    EXPECT_EQ(element_count(Shape{uint64_t{1} << 32, (uint64_t{1} << 32) - 1}), 0xFFFFFFFF00000000u);
    EXPECT_EQ(element_count(Shape{uint64_t{1} << 32, uint64_t{1} << 32}), std::nullopt);
    EXPECT_EQ(element_count(Shape{uint64_t{1} << 40, uint64_t{1} << 40, 0}), std::nullopt);
    EXPECT_EQ(element_count(Shape{0, uint64_t{1} << 40, uint64_t{1} << 40}), 0u);
}

TEST(ByteCount, CountsBitsAndWantsWholeBytes) {
    EXPECT_EQ(byte_count(HT_DTYPE_BF16, Shape{3, 5}), 30u);
    EXPECT_EQ(byte_count(HT_DTYPE_F64, Shape{}), 8u);
    EXPECT_EQ(byte_count(HT_DTYPE_F4, Shape{3, 6}), 9u);
    EXPECT_EQ(byte_count(HT_DTYPE_F4, Shape{3, 5}), std::nullopt);
    EXPECT_EQ(byte_count(HT_DTYPE_F4, Shape{}), std::nullopt);
    EXPECT_EQ(byte_count(HT_DTYPE_F6_E2M3, Shape{4}), 3u);
    EXPECT_EQ(byte_count(HT_DTYPE_F6_E3M2, Shape{6}), std::nullopt);
    EXPECT_EQ(byte_count(HT_DTYPE_U8, Shape{0}), 0u);
    EXPECT_EQ(byte_count(HT_DTYPE_U8, Shape{uint64_t{1} << 60}), uint64_t{1} << 60);
    EXPECT_EQ(byte_count(HT_DTYPE_U8, Shape{uint64_t{1} << 61}), std::nullopt);  // 2^64 bits
}

TEST(ToString, WritesAShapeLikeAList) {
    EXPECT_EQ(to_string(Shape{}), "[]");
    EXPECT_EQ(to_string(Shape{3072}), "[3072]");
    EXPECT_EQ(to_string(Shape{3072, 64}), "[3072, 64]");
}

}  // namespace
}  // namespace halftone
