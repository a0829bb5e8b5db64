/* DRAFT, not frozen: kernels for devices, handed over as data.
 *
 * A plugin never links or calls a device's library. It compiles its kernels from the same element header as
 * its loops for the CPU, keeps the result (a fatbin or PTX) in a constant array, and answers its extension()
 * with a table that points to it. The device plugin loads and launches. A format without this table runs on
 * the CPU, or, if it has an ht_table, through the host's kernels for tables.
 *
 * The ids stay when the drafts are promoted; what lies behind them may change until then.
 */
#ifndef HALFTONE_EXT_DRAFT_KERNELS_H
#define HALFTONE_EXT_DRAFT_KERNELS_H

#include <halftone/matrix.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ht_format.extension(HT_FORMAT_KERNELS): const ht_kernels*. Names: "fit_pass", "fit_band", "encode",
 * "decode", "snap", "sigma", "around", "rotate"; each stands for the function of format.h and takes one
 * ht_kernel_args. */
#define HT_FORMAT_KERNELS "halftone.format.kernels/1"

/* ht_optimizer.extension(HT_OPTIMIZER_KERNELS): const ht_kernels*. Names are those of its operations. */
#define HT_OPTIMIZER_KERNELS "halftone.optimizer.kernels/1"

/* Kernels as constant data; lives as long as the library. */
typedef struct ht_kernels {
    uint32_t size;
    uint32_t reserved;
    const void* image; /* fatbin or PTX, as the compiler wrote it */
    uint64_t bytes;
    const char* const* names; /* NULL-terminated; what is not listed runs on the CPU */
} ht_kernels;

/* What a kernel of a format gets, by value. Every pointer is one of the device; what a kernel does not need
 * is NULL. Never grows within a revision of the id: kernels are compiled against it. */
typedef struct ht_kernel_args {
    uint32_t size;
    uint32_t pass;
    const void* grid;
    ht_region region;
    ht_view in, out, out_2; /* around: `out` is the lower neighbour, `out_2` the upper */
    const float* column_weight;
    uint8_t* band; /* encode: out; decode: in */
    void* partials;
} ht_kernel_args;

#ifdef __cplusplus
}
#endif
#endif
