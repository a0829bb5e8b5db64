/* A model profile: which tensors of a family may be quantized, and how to recognize the family. */
#ifndef HALFTONE_MODEL_H
#define HALFTONE_MODEL_H

#include <halftone/matrix.h>
#include <halftone/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A checkpoint's header, without weights. Names come without the prefix that the host has found in front of
 * all of them ("model.diffusion_model."). All calls are [any]; strings live as long as the header. */
typedef struct ht_header {
    uint32_t size;
    uint32_t reserved;
    void* self;
    uint64_t (*count)(void* self) HT_NOEXCEPT;
    /* The i-th tensor in ascending order of names; 0 beyond the end. The caller sets out->size. */
    int32_t (*at)(void* self, uint64_t i, ht_tensor* out) HT_NOEXCEPT;
    /* By its whole name; 0 if there is none. */
    int32_t (*find)(void* self, const char* name, ht_tensor* out) HT_NOEXCEPT;
    /* An entry of the file's metadata; NULL if there is none. */
    const char* (*metadata)(void* self, const char* key)HT_NOEXCEPT;
} ht_header;

typedef int32_t ht_action;
enum { HT_ACTION_QUANTIZE = 0, HT_ACTION_KEEP = 1, HT_ACTION_REMOVE = 2 };

/* ht_verdict.flags */
enum {
    HT_VERDICT_INPUT_SCALE = 1, /* loaders of this family want .input_scale whatever the format */
    HT_VERDICT_ROWS = 2,        /* detectors read the number of rows */
    HT_VERDICT_COLUMNS = 4      /* detectors read the number of columns: don't pack */
};

/* What to do with one tensor. */
typedef struct ht_verdict {
    uint32_t size;
    ht_action action;
    uint32_t flags;
    uint32_t reserved;
    char reason[200]; /* for a person: "text and image inputs steer everything after them" */
} ht_verdict;

/* How surely a checkpoint belongs to the family. */
typedef struct ht_score {
    uint32_t size;
    int32_t points;     /* 0: it does not. The highest wins; a tie is an ambiguity that the user resolves */
    char evidence[200]; /* the key that decided, and what is known of the variant */
} ht_score;

typedef struct ht_model {
    uint32_t size;
    uint32_t reserved;

    /* [any] Does this header look like the family? No I/O. */
    void (*score)(const ht_header*, ht_score* out) HT_NOEXCEPT;

    /* [any] What to do with a tensor; asked for every tensor, matrices or not. The tensor's name is whole,
     * with any prefix. */
    ht_status (*decide)(ht_values options, const ht_tensor*, ht_verdict* out, ht_error*) HT_NOEXCEPT;

    /* [any] Optional abilities by id; NULL if unknown. Constant. NULL itself if there are none. */
    const void* (*extension)(const char* id)HT_NOEXCEPT;
} ht_model;

#ifdef __cplusplus
}
#endif
#endif
