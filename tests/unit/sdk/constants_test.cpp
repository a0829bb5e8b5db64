// Numbers that files or libraries already contain; they never change.
#include <gtest/gtest.h>

#include <halftone/halftone.h>

namespace {

TEST(Constants, KeepTheirNumbers) {
    EXPECT_STREQ(HALFTONE_ENTRY_NAME, "halftone_plugin_v1");
    EXPECT_EQ(HALFTONE_ABI_MAJOR, 1);
    const int32_t statuses[] = {HT_OK, HT_REFUSED, HT_FAILED, HT_NO_MEMORY};
    for (int32_t i = 0; i < 4; ++i)
        EXPECT_EQ(statuses[i], i);
    const int32_t types[] = {HT_BOOL, HT_INT, HT_FLOAT, HT_SIZE, HT_TEXT, HT_CHOICE, HT_LIST};
    for (int32_t i = 0; i < 7; ++i)
        EXPECT_EQ(types[i], i + 1);
    const int32_t dtypes[] = {HT_DTYPE_BOOL,    HT_DTYPE_F4,          HT_DTYPE_F6_E2M3,     HT_DTYPE_F6_E3M2,
                              HT_DTYPE_U8,      HT_DTYPE_I8,          HT_DTYPE_F8_E5M2,     HT_DTYPE_F8_E4M3,
                              HT_DTYPE_F8_E8M0, HT_DTYPE_F8_E4M3FNUZ, HT_DTYPE_F8_E5M2FNUZ, HT_DTYPE_I16,
                              HT_DTYPE_U16,     HT_DTYPE_F16,         HT_DTYPE_BF16,        HT_DTYPE_I32,
                              HT_DTYPE_U32,     HT_DTYPE_F32,         HT_DTYPE_C64,         HT_DTYPE_F64,
                              HT_DTYPE_I64,     HT_DTYPE_U64};
    for (int32_t i = 0; i < 22; ++i)
        EXPECT_EQ(dtypes[i], i + 1);
    const uint32_t kinds[] = {HT_KIND_FORMAT, HT_KIND_MODEL, HT_KIND_OPTIMIZER, HT_KIND_DEVICE};
    for (uint32_t i = 0; i < 4; ++i)
        EXPECT_EQ(kinds[i], i + 1);
    const int32_t roles[] = {HT_ROLE_WEIGHT, HT_ROLE_SCALE,         HT_ROLE_SCALE_2,
                             HT_ROLE_ABSMAX, HT_ROLE_CODEBOOK,      HT_ROLE_STATE_JSON,
                             HT_ROLE_MARKER, HT_ROLE_NESTED_ABSMAX, HT_ROLE_NESTED_CODEBOOK};
    for (int32_t i = 0; i < 9; ++i)
        EXPECT_EQ(roles[i], i + 1);
    const int32_t scales[] = {HT_SCALE_NONE, HT_SCALE_TENSOR, HT_SCALE_ROW, HT_SCALE_TILE, HT_SCALE_RUN};
    for (int32_t i = 0; i < 5; ++i)
        EXPECT_EQ(scales[i], i);
    const int32_t actions[] = {HT_ACTION_QUANTIZE, HT_ACTION_KEEP, HT_ACTION_REMOVE};
    for (int32_t i = 0; i < 3; ++i)
        EXPECT_EQ(actions[i], i);
    const uint32_t flags[] = {HT_FACT_ROTATES, HT_FACT_NOT_IDEMPOTENT, HT_FACT_ANY_RANK,
                              HT_FACT_ENCODE_BEFORE_SEAL};
    for (uint32_t i = 0; i < 4; ++i)
        EXPECT_EQ(flags[i], 1u << i);
    const uint32_t wants[] = {HT_WANTS_FULL_PRECISION_MM, HT_WANTS_ROWS, HT_WANTS_COLUMNS, HT_WANTS_AS_FOUND};
    for (uint32_t i = 0; i < 3; ++i)
        EXPECT_EQ(wants[i], 1u << i);
    const uint32_t verdicts[] = {HT_VERDICT_INPUT_SCALE, HT_VERDICT_ROWS, HT_VERDICT_COLUMNS};
    for (uint32_t i = 0; i < 3; ++i)
        EXPECT_EQ(verdicts[i], 1u << i);
}

}  // namespace
