/* DRAFT, not frozen: kernels for devices, handed over as data.
 *
 * A plugin never links or calls a device's library. It compiles its kernels from the same element header as
 * its loops for the CPU, keeps the result (a fatbin or PTX) in a constant array, and answers its extension()
 * with a table that points to it. The device plugin loads and launches. A format without this table runs on
 * the CPU, or, if it has an ht_table, through the device's kernels for tables.
 *
 * A kernel is launched with HT_KERNEL_THREADS threads a block and any number of blocks: it strides over its
 * work. It takes one struct by value. Results must not depend on the number of blocks.
 *
 * The ids stay when the drafts are promoted; what lies behind them may change until then.
 */
#ifndef HALFTONE_EXT_DRAFT_KERNELS_H
#define HALFTONE_EXT_DRAFT_KERNELS_H

#include <halftone/ext/draft/optimizer.h>
#include <halftone/format.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HT_KERNEL_THREADS = 256 };

/* ht_format.extension(HT_FORMAT_KERNELS): const ht_kernels*. Names: "fit_pass", "fit_band", "encode",
 * "decode", "snap", "sigma", "around", "rotate"; each stands for the function of format.h and takes one
 * ht_kernel_args. "rotate" works on `in`, and `pass` is its `back`. */
#define HT_FORMAT_KERNELS "halftone.format.kernels/1"

/* ht_optimizer.extension(HT_OPTIMIZER_KERNELS): const ht_kernels*. Names are those of its operations, which
 * take one ht_op_args. */
#define HT_OPTIMIZER_KERNELS "halftone.optimizer.kernels/1"

/* ht_device.extension(HT_DEVICE_KERNELS): const ht_kernels*. What every host needs of a device, whatever the
 * formats; every name below. */
#define HT_DEVICE_KERNELS "halftone.device.kernels/1"

/* Kernels as constant data; lives as long as the library. */
typedef struct ht_kernels {
    uint32_t size;
    uint32_t reserved;
    const void* image; /* fatbin or PTX, as the compiler wrote it */
    uint64_t bytes;

    /* [any] 1 if the image has this kernel and it serves this plan of the format (NULL for other kinds of
     * plugins); what it does not serve runs on the CPU. */
    int32_t (*serves)(const void* plan, const char* name) HT_NOEXCEPT;
} ht_kernels;

/* What a kernel of a format gets, by value. Every pointer is one of the device; what a kernel does not need
 * is NULL. Never grows within a revision of the id: kernels are compiled against it. The same for the structs
 * below. */
typedef struct ht_kernel_args {
    uint32_t size;
    uint32_t pass;
    void* grid; /* written by fit_band alone */
    ht_region region;
    ht_view in, out, out_2; /* around: `out` is the lower neighbour, `out_2` the upper */
    const float* column_weight;
    uint8_t* band; /* encode: out; decode: in */
    void* partials;
} ht_kernel_args;

/* What a kernel of an optimizer's operation gets: whole rows of the matrices, from `row` on. `nums` and
 * `sums` as in ht_tile, but each number where it lies. HT_OP_SUM: block b writes its sums to sums[b * n_nums
 * + i], and the host folds them in that order. HT_OP_SCALAR is launched with one block, and one thread of it
 * works. */
enum { HT_OP_MOST_MATS = 8, HT_OP_MOST_NUMS = 32 };
typedef struct ht_op_args {
    uint32_t size;
    uint32_t n_mats, n_nums, reserved;
    uint64_t row, rows, cols;
    float* mats[HT_OP_MOST_MATS];
    int64_t strides[HT_OP_MOST_MATS];
    const float *gradient, *sigma, *lo, *hi, *nearest; /* rows x cols, dense; NULL unless wanted */
    double* nums[HT_OP_MOST_NUMS];
    double* sums;
    uint64_t seed;
} ht_op_args;

/* ---- Kernels of HT_DEVICE_KERNELS ---- */

/* "widen": stored floating-point numbers to float32, exactly; adds the count of NaN and infinities to
 * *nonfinite. BF16, F16 and F32. */
typedef struct ht_widen_args {
    uint32_t size;
    ht_dtype dtype;
    uint64_t n;
    const void* from;
    float* to;
    uint64_t* nonfinite;
} ht_widen_args;

/* "table_snap": any format with an ht_table. The table's pointers are those of the grid's copy on the device.
 */
typedef struct ht_table_args {
    uint32_t size;
    ht_scale_kind scale_kind;
    uint64_t rows, cols, scale_rows, scale_cols; /* of the whole matrix, and as in ht_facts */
    ht_table table;
    ht_region region;
    ht_view in, out;
} ht_table_args;

/* "error": error = value - weights, and per block the sum of squares (partials[block]). error may be `value`,
 * or NULL; weights may be NULL for 0. With `nearest`: partials[blocks + block] counts values that differ from
 * it. */
typedef struct ht_error_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t n;
    const float *value, *weights, *nearest;
    float* error;
    double* partials;
} ht_error_args;

/* "fold": *to = (add ? *to : 0) + the sum of n numbers, in one fixed order. One block. */
typedef struct ht_fold_args {
    uint32_t size;
    int32_t add;
    uint64_t n, step; /* from number to number */
    const double* from;
    double* to;
} ht_fold_args;

/* "steps": value = nearest + x * sigma. */
typedef struct ht_steps_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t n;
    const float *nearest, *x, *sigma;
    float* value;
} ht_steps_args;

/* "scale_add": to = alpha * from + beta * to. */
typedef struct ht_scale_add_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t n;
    const double *alpha, *beta;
    const float* from;
    float* to;
} ht_scale_add_args;

/* "judge": one block. Whether scores[0 .. n_terms], squared error first, are better than `best` by the
 * weighted sum of the terms over those of `nearest`; then best = scores, and the flags say so. */
enum { HT_JUDGE_MOST_TERMS = 8 };
typedef struct ht_judge_args {
    uint32_t size;
    uint32_t n_terms;
    double cap; /* of the squared error over that of `nearest`; infinity: none */
    double weights[HT_JUDGE_MOST_TERMS];
    const double *scores, *nearest;
    double* best;
    double *kept, *improved; /* 1 or 0; 1 once */
    double generation;       /* of the grid; goes to *best_generation */
    double* best_generation;
} ht_judge_args;

/* "keep": to = from if *flag is not 0. */
typedef struct ht_keep_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t n;
    const double* flag;
    const float* from;
    float* to;
} ht_keep_args;

#ifdef __cplusplus
}
#endif
#endif
