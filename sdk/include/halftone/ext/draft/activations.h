/* DRAFT, not frozen: what loaders do to activations before they multiply them by a weight of this format.
 *
 * Half of the error of a layer at run time may come from there, and the weights say nothing about it. The
 * host tries samples of a layer's inputs on it to tell what the layer's output will be.
 *
 * A format without this extension belongs to weights that loaders multiply in the activations' own precision.
 * The same holds, whatever the format, for layers that ask for full precision (HT_WANTS_FULL_PRECISION_MM):
 * the host does not call round_activations() for them.
 */
#ifndef HALFTONE_EXT_DRAFT_ACTIVATIONS_H
#define HALFTONE_EXT_DRAFT_ACTIVATIONS_H

#include <halftone/format.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ht_format.extension(HT_FORMAT_ACTIVATIONS): const ht_activations*. */
#define HT_FORMAT_ACTIVATIONS "halftone.format.activations/1"

/* Constant; lives as long as the library. */
typedef struct ht_activations {
    uint32_t size;
    uint32_t reserved;

    /* [any] Rounds whole rows of a layer's input in place: each number becomes the one that the loader
     * multiplies with instead. The rows have the plan's number of columns, arrive finite and in the basis of
     * the grid, rotated as the weights were, and stay in it. Together they are one batch: a scale that
     * loaders take from all activations comes from all of these rows. input_scale: the number that the file
     * has for the layer, normal and > 0, or NULL. Leaves them as they are where the plan's loaders do. */
    void (*round_activations)(const void* plan, const float* input_scale, const ht_view*,
                              uint64_t rows) HT_NOEXCEPT;
} ht_activations;

#ifdef __cplusplus
}
#endif
#endif
