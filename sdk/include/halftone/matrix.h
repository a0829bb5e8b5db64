/* Element types, shapes and views on float32 data. */
#ifndef HALFTONE_MATRIX_H
#define HALFTONE_MATRIX_H

#include <halftone/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every element type that safetensors knows. The numbers are ours and never change. */
typedef int32_t ht_dtype;
enum {
    HT_DTYPE_BOOL = 1,
    HT_DTYPE_F4 = 2,
    HT_DTYPE_F6_E2M3 = 3,
    HT_DTYPE_F6_E3M2 = 4,
    HT_DTYPE_U8 = 5,
    HT_DTYPE_I8 = 6,
    HT_DTYPE_F8_E5M2 = 7,
    HT_DTYPE_F8_E4M3 = 8,
    HT_DTYPE_F8_E8M0 = 9,
    HT_DTYPE_F8_E4M3FNUZ = 10,
    HT_DTYPE_F8_E5M2FNUZ = 11,
    HT_DTYPE_I16 = 12,
    HT_DTYPE_U16 = 13,
    HT_DTYPE_F16 = 14,
    HT_DTYPE_BF16 = 15,
    HT_DTYPE_I32 = 16,
    HT_DTYPE_U32 = 17,
    HT_DTYPE_F32 = 18,
    HT_DTYPE_C64 = 19,
    HT_DTYPE_F64 = 20,
    HT_DTYPE_I64 = 21,
    HT_DTYPE_U64 = 22
};

enum { HT_MAX_RANK = 8 };

/* A rectangle of the logical, unpadded matrix. Never grows: it crosses by value inside other structs. */
typedef struct ht_region {
    uint64_t row, col, rows, cols;
} ht_region;

/* float32 data of a region: element (i, j) lies at at[i * row_stride + j * col_stride]. Never grows. */
typedef struct ht_view {
    float* at;
    int64_t row_stride, col_stride; /* in elements */
} ht_view;

/* A tensor as a checkpoint's header tells it. */
typedef struct ht_tensor {
    uint32_t size;
    ht_dtype dtype;
    const char* name;
    uint64_t shape[HT_MAX_RANK]; /* the first `rank` count */
    uint32_t rank;
    uint32_t reserved;
} ht_tensor;

#ifdef __cplusplus
}
#endif
#endif
