/* DRAFT, not frozen: layers whose inputs loaders multiply by a scale for each column before anything else.
 *
 * The host does the same to the weight: what decode() gives, rotated back, times the scale of its column. A
 * format has nothing to do but to name the tensor among what it stores, so far only for layers that
 * recognize() found (HT_WANTS_AS_FOUND): nothing chooses such scales yet.
 */
#ifndef HALFTONE_EXT_DRAFT_COLUMN_SCALE_H
#define HALFTONE_EXT_DRAFT_COLUMN_SCALE_H

#include <halftone/format.h>

/* One more ht_role. As many elements as columns, or one for all; in a file of any float type and any shape of
 * as many. load() gets NULL for it. */
enum { HT_ROLE_COLUMN_SCALE = 10 };

#endif
