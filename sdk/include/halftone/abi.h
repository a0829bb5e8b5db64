/* The rules of the boundary between the Halftone host and a plugin.
 *
 * Only C crosses it: no exceptions, no STL, no ownership of memory. Every struct that may grow starts with
 * its own size in bytes, set by whoever made it; the reader uses no field that lies beyond that size. Structs
 * grow only at their end. Arrays of such structs cross as arrays of pointers, so that a longer struct does
 * not break the stride. Strings are UTF-8 and NUL-terminated.
 *
 * Words used above the functions of every table:
 *   [any]    any thread, several at once
 *   [one]    one call at a time for the same object, from any thread
 *   [driver] only from the thread that runs minimize()
 *   [waits]  may wait for a device
 * Unless a comment says otherwise, a pointer that crosses is valid until the call returns, and a buffer
 * belongs to the host.
 */
#ifndef HALFTONE_ABI_H
#define HALFTONE_ABI_H

#include <stdint.h>

/* Bump log, newest first:
 *   1.0  ht_facts: piece_cols, piece_bytes, HT_FACT_FOLDS_IN_PARTS, for matrices of huge rows or very many.
 *   1.0  the first contract: descriptor, options, other names of choices, errors, services, format, model. */
#define HALFTONE_ABI_MAJOR 1
#define HALFTONE_ABI_MINOR 0

/* The one symbol that a plugin exports. Its name carries the ABI major, so that the host can see a wrong
 * generation in the symbol table before any code of the library has run. */
#define HALFTONE_ENTRY halftone_plugin_v1
#define HALFTONE_ENTRY_NAME "halftone_plugin_v1"
#define HALFTONE_ENTRY_PREFIX "halftone_plugin_v"

#if defined(_WIN32)
#define HT_EXPORT __declspec(dllexport)
#else
#define HT_EXPORT __attribute__((visibility("default")))
#endif

/* In C++ a function that may throw then does not fit into a table. */
#ifdef __cplusplus
#define HT_NOEXCEPT noexcept
#else
#define HT_NOEXCEPT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a function that can fail returns. Codes a reader does not know count as HT_FAILED. */
typedef int32_t ht_status;
enum {
    HT_OK = 0,
    HT_REFUSED = 1,  /* this tensor cannot be taken with these options; the reason is in the error */
    HT_FAILED = 2,   /* this job cannot go on */
    HT_NO_MEMORY = 3 /* this job cannot go on for lack of memory */
};

/* Filled by whoever returns something other than HT_OK. The text is for a person, one line, without the name
 * of the tensor (the caller adds it), cut off at the end if too long. Never null where it is a parameter. */
typedef struct ht_error {
    uint32_t size;
    ht_status code;
    char text[500];
} ht_error;

#ifdef __cplusplus
}
#endif
#endif
