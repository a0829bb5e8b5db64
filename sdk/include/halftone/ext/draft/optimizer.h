/* DRAFT, not frozen: an optimizer, which chooses how each weight is rounded.
 *
 * An optimizer sees a problem: weights W, an objective ||A (Q - W) B||^2 as two factors, and a grid to round
 * to. It never learns which format the grid belongs to, where the matrices lie, or how large the machine is.
 * It asks for matrices and numbers by handle and enqueues work on them; the device does the work later and in
 * order. The same optimizer runs on every device.
 *
 * What it proposes is an unsnapped matrix. The host encodes it, judges exactly those stored bytes, and keeps
 * the best, round to nearest included: no optimizer can return anything worse than that.
 */
#ifndef HALFTONE_EXT_DRAFT_OPTIMIZER_H
#define HALFTONE_EXT_DRAFT_OPTIMIZER_H

#include <halftone/format.h>
#include <halftone/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A float32 matrix on the device in use. Owned by the host, which frees it when minimize() returns; its
 * address is never shown. */
typedef uint32_t ht_mat;

/* A double on that device: losses, learning rates, counters, flags. */
typedef uint32_t ht_num;

/* Matrices that are there from the start; read only, in the grid's basis. */
enum {
    HT_MAT_WEIGHTS = 1, /* W */
    HT_MAT_LEFT = 2,    /* A of the objective; there is none for the identity */
    HT_MAT_RIGHT = 3,   /* B of the objective; there is none for the identity. B B' is the inputs' second
                           moment where the objective is made of activations */
    HT_MAT_FIRST = 16   /* the first handle that mat() gives */
};

/* What the numbers of a matrix of W's size stand for. */
typedef int32_t ht_space;
enum {
    HT_SPACE_VALUES = 0, /* values of weights, in the grid's basis */
    HT_SPACE_STEPS = 1   /* steps of the code away from round to nearest: value = nearest + x * sigma */
};

/* What an operation does to a tile. */
typedef int32_t ht_op_kind;
enum {
    HT_OP_ELEMENT = 1, /* each element for itself */
    HT_OP_ROWS = 2,    /* rows are independent; columns are visited in `order`: error feedback */
    HT_OP_SUM = 3,     /* adds to numbers; the host folds tiles in a fixed tree */
    HT_OP_SCALAR = 4   /* numbers only, one thread: schedules, step sizes */
};

/* What an operation reads beside its matrices (ht_op.wants). */
enum {
    HT_OP_SIGMA = 1,    /* the derivative of the value by the code's number */
    HT_OP_AROUND = 2,   /* the neighbours on the grid of mats[0] */
    HT_OP_GRADIENT = 4, /* A' p B' of apply()'s p */
    HT_OP_NEAREST = 8   /* W rounded to nearest */
};

/* What an operation gets. All of it belongs to the host and is valid until the call returns. */
typedef struct ht_tile {
    uint32_t size;
    uint32_t reserved;
    uint64_t row, col, rows, cols;
    float* const* mats;     /* of apply(), each at the tile's first element; columns lie side by side */
    const int64_t* strides; /* from row to row, one per matrix */
    const float* gradient;  /* rows x cols, dense, as are the next four; NULL unless wanted */
    const float* sigma;
    const float *lo, *hi;
    const float* nearest;
    const ht_table* grid;  /* NULL if the format has none */
    double* nums;          /* of apply(); HT_OP_SUM: a zeroed copy of the tile's own */
    const uint32_t* order; /* columns in the order to visit; NULL: ascending */
    uint64_t seed;         /* depends on the tile's place and the run's seed, on nothing else */
} ht_tile;

/* One operation; a constant of the library. */
typedef struct ht_op {
    uint32_t size;
    ht_op_kind kind;
    uint32_t wants;
    uint32_t reserved;
    const char* name; /* also of its kernel, see kernels.h */

    /* [any] Works on one tile; the host calls it for disjoint tiles at the same time. Returns nothing:
     * whatever can go wrong is said in a number that the optimizer reads. */
    void (*cpu)(const ht_tile* tile) HT_NOEXCEPT;
} ht_op;

enum {
    HT_FACTOR_CHOLESKY = 1,         /* L, lower, with A = L L' */
    HT_FACTOR_CHOLESKY_INVERSE = 2, /* the inverse of that L, lower too; not the inverse of A */
    HT_FACTOR_QR = 3,
    HT_FACTOR_EIGEN = 4
};

/* ht_problem.flags */
enum {
    HT_PROBLEM_ORTHONORMAL = 1 /* A A' and B' B are identities: project(lift(p)) is p */
};

/* The problem, lent until minimize() returns. Every function enqueues and returns at once, HT_OK or
 * HT_FAILED, after which minimize() should return HT_FAILED too: the host knows the reason. Only read()
 * waits. */
typedef struct ht_problem {
    uint32_t size;
    uint32_t flags;
    void* self;
    uint64_t rows, cols;     /* of W */
    uint64_t p_rows, p_cols; /* of A (Q - W) B, what project() fills. A and B are scaled so that neither
                                stretches anything: a step of 1 along the gradient never overshoots */

    /* [driver] A new matrix of zeros. HT_NO_MEMORY if the budget told by ht_optimizer.mats() is used up. */
    ht_status (*mat)(void* self, uint64_t rows, uint64_t cols, ht_mat* out) HT_NOEXCEPT;

    /* [driver] A new number. */
    ht_status (*num)(void* self, double initial, ht_num* out) HT_NOEXCEPT;

    /* [driver] c = alpha * op(a) op(b) + beta * c; op transposes where ta, tb are not 0. */
    ht_status (*gemm)(void* self, ht_num alpha, ht_mat a, int32_t ta, ht_mat b, int32_t tb, ht_num beta,
                      ht_mat c) HT_NOEXCEPT;

    /* [driver] out = HT_FACTOR_... of a. `a` is unchanged unless it is `out`. */
    ht_status (*factor)(void* self, int32_t what, ht_mat a, ht_mat out) HT_NOEXCEPT;

    /* [driver] to = from, of equal shape. */
    ht_status (*copy)(void* self, ht_mat to, ht_mat from) HT_NOEXCEPT;

    /* [driver] p = A (value(a) - W) B, streamed by tiles, and its squared norm. */
    ht_status (*project)(void* self, ht_mat a, ht_space space, ht_mat p, ht_num norm) HT_NOEXCEPT;

    /* [driver] p = A (stored(value(a)) - W) B and its squared norm. `a` is thereby proposed and judged. */
    ht_status (*project_stored)(void* self, ht_mat a, ht_space space, ht_mat p, ht_num norm) HT_NOEXCEPT;

    /* [driver] dst += alpha * A' p B'. */
    ht_status (*lift_add)(void* self, ht_mat dst, ht_num alpha, ht_mat p) HT_NOEXCEPT;

    /* [driver] Runs an operation over all tiles of n matrices of equal shape and m numbers. With
     * HT_OP_GRADIENT the gradient A' p B' is made tile by tile and never stored whole; otherwise `p` is 0.
     * With HT_OP_SIGMA, AROUND, GRADIENT or NEAREST the matrices are of W's size. Of the matrices that are
     * there from the start an operation only reads. */
    ht_status (*apply)(void* self, const ht_op* op, const ht_mat* mats, uint32_t n, const ht_num* nums,
                       uint32_t m, ht_mat p) HT_NOEXCEPT;

    /* [driver] Offers value(a): encoded, judged on its stored bytes, kept if it is the best so far. */
    ht_status (*propose)(void* self, ht_mat a, ht_space space) HT_NOEXCEPT;

    /* [driver] Fits the grid's scales anew, to values `a`. From here on "nearest" means W rounded to that
     * grid; the best so far keeps its own. */
    ht_status (*refit)(void* self, ht_mat a) HT_NOEXCEPT;

    /* [driver] A number gets a value, after everything before has been done. */
    ht_status (*set)(void* self, ht_num number, double value) HT_NOEXCEPT;

    /* [driver] [waits] The value of a number once everything before has been done. */
    ht_status (*read)(void* self, ht_num from, double* out) HT_NOEXCEPT;

    /* [driver] 1 when it is time to return: cancelled, out of time, or stop_when() came true. Lags behind by
     * up to 32 rounds, so that nothing waits for it. */
    int32_t (*stop)(void* self) HT_NOEXCEPT;

    /* [driver] Makes stop() answer 1 once this number is not 0. */
    ht_status (*stop_when)(void* self, ht_num flag) HT_NOEXCEPT;

    /* [driver] Records a number under a name for reports, beside what the host records of this iteration: one
     * begins with each project() or project_stored(). Copies the name. */
    ht_status (*trace)(void* self, const char* name, ht_num value) HT_NOEXCEPT;
} ht_problem;

/* The table of a plugin of HT_KIND_OPTIMIZER. */
typedef struct ht_optimizer {
    uint32_t size;
    uint32_t reserved;
    const ht_op* const* ops; /* NULL-terminated; every operation that minimize() may apply */

    /* [any] How many matrices of the weights' size it will ask for at most: the host plans memory by it. */
    uint32_t (*mats)(ht_values options) HT_NOEXCEPT;

    /* [driver] Works on the problem until done or told to stop, and returns HT_OK; HT_REFUSED, with the
     * reason, if these options and this problem do not go together; HT_FAILED otherwise. What was proposed by
     * then is kept in any case. Borrows everything until it returns, and starts no threads. */
    ht_status (*minimize)(const ht_problem* problem, ht_values options, ht_error* error) HT_NOEXCEPT;

    /* [any] Optional abilities by id, HT_OPTIMIZER_KERNELS first of all; NULL if unknown. Constant. Where an
     * operation has no kernel, the CPU learns, and the user is told why. */
    const void* (*extension)(const char* id)HT_NOEXCEPT;
} ht_optimizer;

#ifdef __cplusplus
}
#endif
#endif
