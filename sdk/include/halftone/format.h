/* A format: how a matrix of numbers is stored.
 *
 * The life of one matrix:
 *
 *     prepare -> facts, describe                    the plan: headers only, no weights
 *     begin -> [fit_pass ... fit_fold]* -> fit_band ... -> fit_seal      writing: weights to a grid
 *     or begin -> load                                                   reading: stored companions to a grid
 *     encode / decode / snap / sigma / around / companion                on the sealed grid
 *     release
 *
 * A *plan* is what follows from shape, dtype and options alone; the plugin owns it. A *grid* is everything
 * that was fitted to the data (scales, codebooks): a flat blob of `grid_bytes`, owned by the host, 64-byte
 * aligned, zeroed before begin(), without pointers into itself or elsewhere, so that the host may copy it,
 * keep it and send it to a device. From fit_seal() or load() on, nobody writes it.
 *
 * The host streams a matrix in *bands* of whole rows that start on multiples of `granule_rows`, or in parts
 * of rows where the facts allow it (`piece_cols`). Which bands it chooses, and on how many threads, must not
 * change a single stored bit: partial results belong to a granule.
 *
 * Values arrive finite; the host checks while widening.
 */
#ifndef HALFTONE_FORMAT_H
#define HALFTONE_FORMAT_H

#include <halftone/json.h>
#include <halftone/matrix.h>
#include <halftone/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the companions of a weight are named and shaped on disk. */
typedef int32_t ht_dialect;
enum {
    HT_DIALECT_COMFY = 1,       /* .weight, .weight_scale, .comfy_quant */
    HT_DIALECT_LEGACY = 2,      /* .weight, .scale_weight, a marker for the whole file */
    HT_DIALECT_BITSANDBYTES = 3 /* .weight, .weight.absmax, .weight.quant_state... */
};

/* What the pipeline or the profile asks of a format for this matrix (ht_source.wants). */
enum {
    HT_WANTS_FULL_PRECISION_MM = 1, /* ask the loader to multiply in full precision */
    HT_WANTS_ROWS = 2,              /* detectors read the rows of the stored .weight: as many as here */
    HT_WANTS_COLUMNS = 4,           /* detectors read its columns: as many as here, so nothing packed */
    HT_WANTS_AS_FOUND = 8           /* set by recognize() alone: a stored layer, to be read even in a layout
                                       that is not to be written */
};

/* The matrix to be stored, before any weight is read. */
typedef struct ht_source {
    uint32_t size;
    ht_dtype dtype;     /* of the checkpoint's tensor; values arrive as float32 whatever it is */
    ht_dialect dialect; /* to be written */
    uint32_t wants;
    uint64_t shape[HT_MAX_RANK]; /* as in the checkpoint; the first `rank` count */
    uint32_t rank;
    uint32_t reserved;
    uint64_t experts, rows, cols; /* a plan is of one matrix, rows x cols; experts is 1 unless the tensor is a
                                     stack of so many matrices. The host then makes a grid for each, stacks
                                     what is stored of them below a leading dimension, and adds the number to
                                     the description. Refuse where no loader takes stacks stored so */
} ht_source;

/* What a stored tensor is. Equal roles correspond across dialects. */
typedef int32_t ht_role;
enum {
    HT_ROLE_WEIGHT = 1, /* the codes; exactly one per matrix, streamed in bands */
    HT_ROLE_SCALE = 2,
    HT_ROLE_SCALE_2 = 3, /* the outer of two levels */
    HT_ROLE_ABSMAX = 4,
    HT_ROLE_CODEBOOK = 5,
    HT_ROLE_STATE_JSON = 6, /* text whose length is fixed by the plan; padded with spaces */
    HT_ROLE_MARKER = 7,     /* carries its message in shape or presence */
    HT_ROLE_NESTED_ABSMAX = 8,
    HT_ROLE_NESTED_CODEBOOK = 9
};

enum { HT_SCOPE_LAYER = 0, HT_SCOPE_FILE = 1 };

/* One tensor that the format writes for the matrix. The host adds the dialect's own marker (.comfy_quant,
 * from describe()) and .input_scale. */
typedef struct ht_stored {
    uint32_t size;
    ht_role role;
    int32_t
        scope; /* HT_SCOPE_LAYER: `name` is a suffix of the layer's name (".weight_scale"). HT_SCOPE_FILE: a
                  whole key ("scaled_fp8"); equal claims of several layers merge, others are a plan error */
    ht_dtype dtype;
    uint64_t shape[HT_MAX_RANK];
    uint32_t rank;
    uint32_t reserved;
    const char* name;
} ht_stored;

/* ht_facts.flags */
enum {
    HT_FACT_ROTATES = 1,            /* rotate() must be applied before fitting and after decoding */
    HT_FACT_NOT_IDEMPOTENT = 2,     /* snap(snap(x)) may differ from snap(x) */
    HT_FACT_ANY_RANK = 4,           /* takes tensors that are no matrices, seen as rows x cols */
    HT_FACT_ENCODE_BEFORE_SEAL = 8, /* the codes of round to nearest are those of encode() before fit_seal():
                                       the host encodes a band as soon as it is fitted, while it is at hand.
                                       On the sealed grid encode() rounds to the values that are read back,
                                       which gives other codes only where the seal changed the scales */
    HT_FACT_FOLDS_IN_PARTS = 16 /* fit_fold() may be called several times for a pass, each time with the next
                                   granules' slots: the host then keeps few of them at a time */
};

enum { HT_INPUT_SCALE_NEVER = 0, HT_INPUT_SCALE_ALLOWED = 1, HT_INPUT_SCALE_REQUIRED = 2 };

/* What one scale covers. */
typedef int32_t ht_scale_kind;
enum {
    HT_SCALE_NONE = 0,
    HT_SCALE_TENSOR = 1,
    HT_SCALE_ROW = 2,
    HT_SCALE_TILE = 3, /* scale_rows x scale_cols */
    HT_SCALE_RUN = 4   /* scale_cols consecutive elements of the flattened matrix; may cross rows */
};

/* What follows from the plan alone. Belongs to the plan and is constant. */
typedef struct ht_facts {
    uint32_t size;
    uint32_t flags;
    uint32_t
        passes; /* reductions over the whole matrix that come before fit_band; most formats need 0 or 1 */
    int32_t input_scale;
    ht_scale_kind scale_kind;
    float activation_max; /* loaders divide activations by .input_scale and then clamp them to this: 448 for
                             e4m3. 0: an .input_scale measures nothing, and is 1 */
    uint64_t scale_rows, scale_cols;
    uint64_t
        granule_rows; /* > 0; bands start on multiples of it, and all but the last contain whole granules */
    uint64_t granule_bytes; /* bytes of .weight that a whole granule makes; the band with the last row makes
                               all that remain, a short granule and padding included */
    uint64_t grid_bytes;
    uint64_t partial_bytes;         /* of one granule's slot in a pass; may be 0 when passes is 0 */
    const ht_stored* const* stored; /* n_stored of them; one has HT_ROLE_WEIGHT */
    uint64_t n_stored;
    const char* remark;   /* what of the options this matrix could not be given, or NULL: "unrotated: no power
                             of 4 from 16 on divides the columns". Plans show it for the matrix and count how
                             many say the same, so it names no particulars of the matrix */
    uint64_t piece_cols;  /* 0: bands are whole rows. Otherwise bands may also be parts of one row that start
                             on multiples of it and contain whole pieces, but for the last part of the row.
                             fit_band(), encode() and decode() take the parts in any order and on any thread;
                             fit_pass() gets those of a row one after the other, from the left, and adds to
                             the row's slot. Needs granules of one row and no rotation */
    uint64_t piece_bytes; /* bytes of .weight that a whole piece makes; the last part of a row makes all that
                             remain of the row's */
} ht_facts;

/* The grid as a table of numbers, for scalar formats: how any optimizer or device can round to it.
 *   t = divide ? x / pre[g] : x * pre[g];  code = the first i with t <= upper[i], else levels - 1;
 *   value = level[i] * post[g]
 * A group of zeros alone has pre = 0, or +infinity with `divide`.
 * g counts scale groups in row-major order of ht_facts.scale_kind; table_of[g] picks one of several level
 * sets of `levels` entries each (NULL: the first). All pointers lie inside the grid. */
typedef struct ht_table {
    uint32_t size;
    uint32_t levels, tables;
    int32_t divide;
    const float *level, *upper; /* tables * levels each; upper[levels - 1] is +infinity */
    const float *pre, *post;
    const uint8_t* table_of;
} ht_table;

/* A layer in a checkpoint that may hold something quantized; of a stack of experts the first. */
typedef struct ht_layer {
    uint32_t size;
    uint32_t n_tensors;
    const char* name;                /* without suffix */
    const ht_tensor* const* tensors; /* every tensor of the layer, whole names, and file-wide markers */
    const uint8_t* const* bytes; /* bytes[i]: the contents of tensors[i] if at most 64 KiB, otherwise NULL */
    const char*
        marker; /* the layer's JSON configuration; of a stack it has the right num_experts; NULL: none */
} ht_layer;

/* What a loader makes of a label that this format can write. Constant; for `plugins info`, `halftone check`,
 * plan warnings and docs. Texts are never NULL; "" says nothing. */
typedef struct ht_label {
    uint32_t size;
    uint32_t reserved;
    const char* label;   /* as stored, "float8_e4m3fn"; "" for dialects that store none */
    const char* options; /* which options lead to it, each with one value: "scaling=tensor element=e4m3fn";
                            the layout (comfyui, legacy, bitsandbytes) if not ComfyUI's; experts=stack */
    const char* loaders; /* who takes it since when: "comfyui>=2025-12; comfyui-fork"; "" for nobody. Names
                            are of a-z, 0-9, '-' and '.'; after >= comes a month, 2025-12, or a version,
                            0.31.0; without it nobody knows since when. Parts are separated by "; " */
    const char* activations; /* what they do to activations at run time: "none", "fp8 with a fixed scale" */
    const char* hardware;    /* where they multiply it fast: "NVIDIA from Ada on"; "": unknown or nowhere */
    const char* remark;      /* one line or "" */
} ht_label;

typedef struct ht_format {
    uint32_t size;
    uint32_t reserved;

    /* [any] Makes a plan from shape, dtype and options, without data or I/O. HT_REFUSED with a reason if this
     * matrix cannot be stored so. On HT_OK the host calls release() once; otherwise *plan is not looked at.
     */
    ht_status (*prepare)(const ht_source*, ht_values options, void** plan, ht_error*) HT_NOEXCEPT;

    /* [one] Ends a plan; nothing else is running on it. */
    void (*release)(void* plan) HT_NOEXCEPT;

    /* [any] The same pointer each time, valid until release(). */
    const ht_facts* (*facts)(const void* plan)HT_NOEXCEPT;

    /* [any] Writes the layer's configuration, "format" first; nothing for a layer that needs no marker, since
     * its weight is a plain tensor. Called more than once; says the same each time. */
    ht_status (*describe)(const void* plan, const ht_json* sink, ht_error*) HT_NOEXCEPT;

    /* [any] Is this stored layer one of mine, in any dialect? HT_OK: `options` (filled with defaults by the
     * host; texts set here must be constants) and `source` are set so that prepare() makes its plan; where
     * the file does not tell of which dtype the weights were, source->dtype is the likeliest.
     * HT_REFUSED: it is not mine, or the error says what is wrong with it. */
    ht_status (*recognize)(const ht_layer*, ht_value* const* options, ht_source*, ht_error*) HT_NOEXCEPT;

    /* [one] Writes fixed parameters into the zeroed grid; from then on the grid alone feeds kernels. */
    void (*begin)(const void* plan, void* grid) HT_NOEXCEPT;

    /* [any] Rotates whole rows in place, into the grid's basis or (back != 0) out of it. NULL without
     * HT_FACT_ROTATES. */
    void (*rotate)(const void* plan, int32_t back, const ht_view*, uint64_t rows) HT_NOEXCEPT;

    /* [any] One reduction pass over a region of whole granules. `partials` points at the slot of the region's
     * first granule; the slots arrive zeroed and only this call writes them (for parts of a row: see
     * piece_cols). column_weight: one number >= 0
     * per column, or NULL, which is the same as ones. The grid is as the last fold left it. NULL if passes is
     * 0. */
    void (*fit_pass)(const void* plan, uint32_t pass, const ht_region*, const ht_view*,
                     const float* column_weight, const void* grid, void* partials) HT_NOEXCEPT;

    /* [one] Folds all n slots of a pass, in granule order, into the grid; with
     * HT_FACT_FOLDS_IN_PARTS perhaps only the next n of them. NULL if passes is 0. HT_REFUSED
     * from here, fit_seal() or companion() says that the matrix cannot be stored now that its weights are
     * known: where a pipeline has on_refusal = "keep" the host starts the run again without it, otherwise the
     * run ends. What shape and options tell is refused by prepare(), which costs nothing. */
    ht_status (*fit_fold)(const void* plan, uint32_t pass, const void* partials, uint64_t n, void* grid,
                          ht_error*) HT_NOEXCEPT;

    /* [any] Fits what depends on these rows alone, into the grid's own part for them. NULL if there is none.
     */
    void (*fit_band)(const void* plan, const ht_region*, const ht_view*, const float* column_weight,
                     void* grid) HT_NOEXCEPT;

    /* [one] Finishes the grid: rules for all-zero matrices, second-level scales. NULL if not needed.
     * HT_REFUSED as in fit_fold(). */
    ht_status (*fit_seal)(const void* plan, void* grid, ht_error*) HT_NOEXCEPT;

    /* [one] Instead of fitting: from stored companions. companions[i] belongs to facts()->stored[i] (NULL for
     * the weight and for one that the file lacks), of the size that stored[i] has; a HT_ROLE_STATE_JSON that
     * is shorter in the file arrives padded with spaces. decode() then gives, bit for bit, what it gave on
     * the fitted grid. HT_REFUSED if they make no sense. */
    ht_status (*load)(const void* plan, const uint8_t* const* companions, void* grid, ht_error*) HT_NOEXCEPT;

    /* [any] A band to stored bytes. Writes every byte of the band, padding included; it arrives zeroed. */
    void (*encode)(const void* plan, const void* grid, const ht_region*, const ht_view*,
                   uint8_t* band) HT_NOEXCEPT;

    /* [any] Stored bytes of a band of whole granules to values in the grid's basis. */
    void (*decode)(const void* plan, const void* grid, const ht_region*, const uint8_t* band,
                   const ht_view* out) HT_NOEXCEPT;

    /* [any] The bytes of stored tensor i (not the weight), whole. */
    ht_status (*companion)(const void* plan, const void* grid, uint32_t i, uint8_t* out,
                           ht_error*) HT_NOEXCEPT;

    /* [any] Any rectangle, rounded to the grid: bit for bit what decode(encode()) gives. `in` and `out` may
     * be the same view. */
    void (*snap)(const void* plan, const void* grid, const ht_region*, const ht_view* in,
                 const ht_view* out) HT_NOEXCEPT;

    /* [any] How much an element's value moves when its level (of table(), before `post`) moves by 1: finite
     * and > 0, a magnitude where a scale is negative; 1 where nothing can move. */
    void (*sigma)(const void* plan, const void* grid, const ht_region*, const ht_view* out) HT_NOEXCEPT;

    /* [any] The neighbours among the values that rounding can give: the largest <= x and the smallest >= x;
     * beyond the ends both are the end. Where x is such a value both are x. */
    void (*around)(const void* plan, const void* grid, const ht_region*, const ht_view* in, const ht_view* lo,
                   const ht_view* hi) HT_NOEXCEPT;

    /* [any] The grid as a table, written into *table; HT_REFUSED if this format has none. */
    ht_status (*table)(const void* plan, const void* grid, ht_table* table, ht_error*) HT_NOEXCEPT;

    /* [any] Optional abilities by id, "halftone.format.kernels/1"; NULL if unknown. Constant. */
    const void* (*extension)(const char* id)HT_NOEXCEPT;

    const ht_label* const* labels; /* n_labels of them */
    uint64_t n_labels;
} ht_format;

#ifdef __cplusplus
}
#endif
#endif
