/* Options: declared by the plugin as a table, checked by the host, handed over as values in the table's
 * order. */
#ifndef HALFTONE_VALUE_H
#define HALFTONE_VALUE_H

#include <halftone/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t ht_type;
enum {
    HT_BOOL = 1,
    HT_INT = 2,
    HT_FLOAT = 3,
    HT_SIZE = 4, /* bytes; people write "64MiB" */
    HT_TEXT = 5,
    HT_CHOICE = 6, /* one of `choices` */
    HT_LIST = 7    /* of texts */
};

/* One row of a plugin's option table. Constant; lives as long as the library. */
typedef struct ht_option {
    uint32_t size;
    ht_type type;
    const char* name;     /* [a-z][a-z0-9_]*, none of the host's reserved keys */
    const char* fallback; /* the default, written as in TOML without quotes: "true", "128", "0.05", "row";
                             for a list its items separated by commas; "" is an empty text or list */
    const char* help;     /* one line, no full stop */
    double least, most;   /* inclusive range of numbers and sizes; both 0 for none */
    const char* const* choices; /* NULL-terminated, for HT_CHOICE, "other name=choice" last; otherwise NULL */
} ht_option;

/* One value. Which members count depends on the option's type. */
typedef struct ht_value {
    uint32_t size;
    ht_type type;
    int64_t whole;    /* HT_BOOL: 0 or 1. HT_INT, HT_SIZE: the number. HT_CHOICE: the index in choices */
    double real;      /* HT_FLOAT */
    const char* text; /* HT_TEXT, HT_CHOICE: never NULL */
    const char* const* items; /* HT_LIST: n_items of them */
    uint64_t n_items;
} ht_value;

/* The values of a whole option table, in its order. A plugin reads no index that its own table does not have.
 */
typedef const ht_value* const* ht_values;

#ifdef __cplusplus
}
#endif
#endif
