/* DRAFT, not frozen: a device, which lends its memory and arithmetic. The CPU is built into the host; others
 * are plugins, so that the host starts on a machine without their drivers.
 *
 * A device plugin knows no format and no optimizer: it moves bytes, loads the images that kernels.h
 * describes, launches them, and has linear algebra of its own.
 */
#ifndef HALFTONE_EXT_DRAFT_DEVICE_H
#define HALFTONE_EXT_DRAFT_DEVICE_H

#include <halftone/matrix.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What its functions return beside those of abi.h. */
enum {
    HT_DEVICE_OUT_OF_MEMORY = 16, /* the host retries with less, then goes on with the CPU */
    HT_DEVICE_LOST = 17           /* nothing works from here on; the host goes on with the CPU */
};

/* Where a buffer lies. */
enum { HT_PLACE_DEVICE = 1, HT_PLACE_PINNED = 2 /* in the host's memory, where copies are fastest */ };

/* What ht_device.linear() computes; the arguments are a struct of the same name. */
enum { HT_LINEAR_GEMM = 1, HT_LINEAR_FACTOR = 2, HT_LINEAR_SVD = 3 };

/* One device as it lists itself. Strings live as long as the library. */
typedef struct ht_device_info {
    uint32_t size;
    uint32_t units;   /* that work side by side; a kernel that fills the device has a few blocks for each */
    const char* name; /* "NVIDIA H200" */
    uint64_t memory_bytes, free_bytes;
} ht_device_info;

/* How exactly a product of matrices is made. HT_GEMM_FLOAT32 is plain float32; HT_GEMM_SPLIT may split each
 * number into parts of fewer bits, as long as the error stays under 2^-16 of the product of magnitudes: for
 * steps that are small anyway. */
enum { HT_GEMM_FLOAT32 = 0, HT_GEMM_SPLIT = 1 };

/* float32, row-major. c = alpha * op(a) op(b) + beta * c, where c is rows x cols. All pointers, those of the
 * factors too, are the device's: nothing waits for a number. */
typedef struct ht_linear_gemm {
    uint32_t size;
    int32_t transpose_a, transpose_b;
    int32_t precision; /* HT_GEMM_... */
    uint64_t rows, cols, inner;
    const float *a, *b;
    float* c;
    uint64_t a_stride, b_stride, c_stride; /* from row to row */
    const double *alpha, *beta;
} ht_linear_gemm;

/* out = a factor of a; `what` as in optimizer.h, HT_REFUSED for one that the device does not have. QR: out is
 * the rows x cols factor with orthonormal columns, rows >= cols. Otherwise cols == rows. *status: 0, or not 0
 * where it broke down; a word of the device. */
typedef struct ht_linear_factor {
    uint32_t size;
    int32_t what;
    uint64_t rows, cols;
    const float* a;
    float* out;
    int32_t* status;
} ht_linear_factor;

/* The leading `rank` singular values and vectors of a, the vectors as the factors of an objective: left is
 * rank x rows, right is cols x rank. From a random start of rank + extra columns and `rounds` multiplications
 * with a and its transpose. *status as above. */
typedef struct ht_linear_svd {
    uint32_t size;
    uint32_t rank, extra, rounds;
    uint64_t rows, cols;
    const float* a;
    float *left, *values, *right; /* values may be NULL */
    int32_t* status;
    uint64_t seed; /* of the random start; same seed, same bits on the same model of device */
} ht_linear_svd;

/* The table of a plugin of HT_KIND_DEVICE. Objects made here are given back here. */
typedef struct ht_device {
    uint32_t size;
    uint32_t reserved;

    /* [any] The i-th device of this machine; HT_REFUSED beyond the last, with the reason if there is none at
     * all (no driver, too old). The caller sets out->size. */
    ht_status (*list)(uint32_t i, ht_device_info* out, ht_error* error) HT_NOEXCEPT;

    /* [any] Opens the i-th device. On HT_OK the host calls close() once. */
    ht_status (*open)(uint32_t i, void** device, ht_error* error) HT_NOEXCEPT;

    /* [one] Ends a device, after everything made from it has been dropped. */
    void (*close)(void* device) HT_NOEXCEPT;

    /* [any] A buffer, 256-byte aligned, contents undefined. Owned by the host until drop(). */
    ht_status (*buffer)(void* device, uint64_t bytes, int32_t place, void** out, ht_error* error) HT_NOEXCEPT;

    /* [any] [waits] Gives a buffer back once the work that uses it has been done. drop(device, NULL) does
     * nothing. */
    void (*drop)(void* device, void* buffer) HT_NOEXCEPT;

    /* [any] A stream: work enqueued on it is done in order. Used by one thread at a time. On HT_OK the host
     * calls end() once. */
    ht_status (*stream)(void* device, void** out, ht_error* error) HT_NOEXCEPT;

    /* [one] [waits] Ends a stream, after its work. */
    void (*end)(void* device, void* stream) HT_NOEXCEPT;

    /* [one] Enqueues a copy between a buffer and any memory, or two buffers. Both live until the stream has
     * been waited for. From memory that is not pinned the call may return only when it has been read. */
    ht_status (*copy)(void* device, void* stream, void* to, const void* from, uint64_t bytes,
                      ht_error* error) HT_NOEXCEPT;

    /* [one] Enqueues the filling of a buffer's part with one byte. */
    ht_status (*fill)(void* device, void* stream, void* to, uint8_t byte, uint64_t bytes,
                      ht_error* error) HT_NOEXCEPT;

    /* [any] A module from an image of kernels.h; the same image gives the same module. Lives as long as the
     * device. HT_REFUSED if the image has no code for it. */
    ht_status (*load)(void* device, const void* image, uint64_t bytes, void** module,
                      ht_error* error) HT_NOEXCEPT;

    /* [one] Enqueues a kernel by its name, `blocks` blocks of HT_KERNEL_THREADS threads. `args` are copied.
     * HT_REFUSED if the module has no such kernel. */
    ht_status (*launch)(void* device, void* stream, void* module, const char* kernel, uint64_t blocks,
                        const void* args, uint64_t bytes, ht_error* error) HT_NOEXCEPT;

    /* [one] Enqueues linear algebra, HT_LINEAR_...; `args` are copied. Needs one workspace per stream, which
     * the device keeps; a factorization may wait for the device. Same inputs, same bits. */
    ht_status (*linear)(void* device, void* stream, int32_t what, const void* args,
                        ht_error* error) HT_NOEXCEPT;

    /* [one] [waits] Until everything enqueued on the stream has been done. */
    ht_status (*wait)(void* device, void* stream, ht_error* error) HT_NOEXCEPT;

    /* [any] Optional abilities by id, HT_DEVICE_KERNELS first of all; NULL if unknown. Constant. */
    const void* (*extension)(const char* id)HT_NOEXCEPT;
} ht_device;

#ifdef __cplusplus
}
#endif
#endif
