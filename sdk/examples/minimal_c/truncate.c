/* acme.truncate: the contract in plain C, with the smallest format that there is. A weight is cut down to
 * BF16: the upper half of its float32 bits. No scales, so the grid is empty and .weight is all that is
 * stored: a plain tensor, which needs no marker and which every loader reads.
 *
 * Each function must do what halftone/format.h says above its pointer; here stand only the reasons that are
 * our own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <halftone/halftone.h>

typedef struct plan {
    uint64_t cols;
    ht_stored weight;
    const ht_stored* stored[1];
    ht_facts facts;
} plan;

/* ------------------------------------------------------------------------------------------------ numbers */

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float cut(float value) {
    return from_bits(bits_of(value) & 0xffff0000u);
}

/* The next level away from zero; at the end the same. */
static float outward(float level) {
    const uint32_t next = bits_of(level) + 0x10000u;
    return (next & 0x7f800000u) == 0x7f800000u ? level : from_bits(next);
}

static float* at(const ht_view* view, uint64_t i, uint64_t j) {
    return view->at + (int64_t)i * view->row_stride + (int64_t)j * view->col_stride;
}

/* --------------------------------------------------------------------------------------------------- plan */

static ht_status prepare(const ht_source* source, ht_values options, void** out, ht_error* error) {
    plan* p;
    (void)options; /* the option table is empty */
    if (source->rank != 2) {
        error->code = HT_REFUSED;
        snprintf(error->text, sizeof error->text, "has %u dimensions; needs a matrix",
                 (unsigned)source->rank);
        return HT_REFUSED;
    }
    /* source->wants: a plain tensor has the rows and columns of the matrix and is multiplied in full
     * precision, so every wish is granted. A format that packs several numbers into one element refuses here
     * if HT_WANTS_COLUMNS is set. source->dialect: a plain tensor is the same in every layout. */
    p = (plan*)calloc(1, sizeof *p);
    if (!p) return HT_NO_MEMORY;
    p->cols = source->cols;
    p->weight.size = sizeof p->weight;
    p->weight.role = HT_ROLE_WEIGHT;
    p->weight.dtype = HT_DTYPE_BF16;
    p->weight.rank = 2;
    p->weight.shape[0] = source->rows;
    p->weight.shape[1] = source->cols;
    p->weight.name = ".weight";
    p->stored[0] = &p->weight;
    p->facts.size = sizeof p->facts;
    p->facts.granule_rows = 1;
    p->facts.granule_bytes = source->cols * 2;
    p->facts.stored = p->stored;
    p->facts.n_stored = 1;
    *out = p;
    return HT_OK;
}

static void release_plan(void* p) {
    free(p);
}

static const ht_facts* facts(const void* p) {
    return &((const plan*)p)->facts;
}

/* Nothing: a marker would turn a plain tensor into one that only this plugin may read. A format that writes
 * one says "format" first, and its recognize() takes every layer that it has described. */
static ht_status describe(const void* p, const ht_json* sink, ht_error* error) {
    (void)p, (void)sink, (void)error;
    return HT_OK;
}

/* Of plain tensors nobody is asked, so that every layer that gets here is another format's. */
static ht_status recognize(const ht_layer* layer, ht_value* const* options, ht_source* source,
                           ht_error* error) {
    (void)layer, (void)options, (void)source;
    snprintf(error->text, sizeof error->text, "it stores plain tensors, which have no marker");
    return HT_REFUSED;
}

/* --------------------------------------------------------------------------------------------------- grid */

static void begin(const void* p, void* grid) {
    (void)p, (void)grid;
}

static ht_status load(const void* p, const uint8_t* const* companions, void* grid, ht_error* error) {
    (void)p, (void)companions, (void)grid, (void)error;
    return HT_OK;
}

static void encode(const void* p, const void* grid, const ht_region* region, const ht_view* view,
                   uint8_t* band) {
    uint64_t i, j;
    (void)p, (void)grid;
    for (i = 0; i < region->rows; ++i)
        for (j = 0; j < region->cols; ++j) {
            const uint32_t bits = bits_of(*at(view, i, j));
            *band++ = (uint8_t)(bits >> 16); /* little-endian, as safetensors wants it */
            *band++ = (uint8_t)(bits >> 24);
        }
}

static void decode(const void* p, const void* grid, const ht_region* region, const uint8_t* band,
                   const ht_view* out) {
    uint64_t i, j;
    (void)p, (void)grid;
    for (i = 0; i < region->rows; ++i)
        for (j = 0; j < region->cols; ++j, band += 2)
            *at(out, i, j) = from_bits((uint32_t)band[0] << 16 | (uint32_t)band[1] << 24);
}

static ht_status companion(const void* p, const void* grid, uint32_t i, uint8_t* out, ht_error* error) {
    (void)p, (void)grid, (void)i, (void)out;
    snprintf(error->text, sizeof error->text, "there is no companion");
    return HT_FAILED;
}

static void snap(const void* p, const void* grid, const ht_region* region, const ht_view* in,
                 const ht_view* out) {
    uint64_t i, j;
    (void)p, (void)grid;
    for (i = 0; i < region->rows; ++i)
        for (j = 0; j < region->cols; ++j)
            *at(out, i, j) = cut(*at(in, i, j));
}

/* How far a step of the code moves a value is asked for as a matter of scales; there are none. */
static void sigma(const void* p, const void* grid, const ht_region* region, const ht_view* out) {
    uint64_t i, j;
    (void)p, (void)grid;
    for (i = 0; i < region->rows; ++i)
        for (j = 0; j < region->cols; ++j)
            *at(out, i, j) = 1;
}

static void around(const void* p, const void* grid, const ht_region* region, const ht_view* in,
                   const ht_view* lo, const ht_view* hi) {
    uint64_t i, j;
    (void)p, (void)grid;
    for (i = 0; i < region->rows; ++i)
        for (j = 0; j < region->cols; ++j) {
            const float x = *at(in, i, j), inner = cut(x), outer = inner == x ? x : outward(inner);
            *at(lo, i, j) = x < 0 ? outer : inner;
            *at(hi, i, j) = x < 0 ? inner : outer;
        }
}

static ht_status table(const void* p, const void* grid, ht_table* out, ht_error* error) {
    (void)p, (void)grid, (void)out;
    snprintf(error->text, sizeof error->text, "65,536 levels are no table");
    return HT_REFUSED;
}

/* --------------------------------------------------------------------------------------------- descriptor */

/* The label is what describe() writes as "format": none. */
static const ht_label label = {
    sizeof(ht_label), 0, "", "", "", "none", "", "plain BF16, read by all loaders"};
static const ht_label* const labels[] = {&label};

static const ht_format format = {
    .size = sizeof(ht_format),
    .prepare = prepare,
    .release = release_plan,
    .facts = facts,
    .describe = describe,
    .recognize = recognize,
    .begin = begin,
    .load = load,
    .encode = encode,
    .decode = decode,
    .companion = companion,
    .snap = snap,
    .sigma = sigma,
    .around = around,
    .table = table,
    .labels = labels,
    .n_labels = 1,
};

HT_PLUGIN = {
    .size = sizeof(ht_plugin),
    .kind = HT_KIND_FORMAT,
    .id = "acme.truncate",
    .version = "1.0.0",
    .summary = "float32 cut down to its upper half",
    .license = "MIT",
    .table = &format,
};
