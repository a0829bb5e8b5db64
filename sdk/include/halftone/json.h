/* A sink for JSON that the host serialises: once into a stored tensor, once into the file's header. */
#ifndef HALFTONE_JSON_H
#define HALFTONE_JSON_H

#include <halftone/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Members are written in the order of the calls. begin() opens an object under a key, end() closes it. The
 * key is copied. All of them are [one]: one describe() call owns the sink until it returns. */
typedef struct ht_json {
    uint32_t size;
    uint32_t reserved;
    void* self;
    void (*text)(void* self, const char* key, const char* value) HT_NOEXCEPT;
    void (*whole)(void* self, const char* key, int64_t value) HT_NOEXCEPT;
    void (*real)(void* self, const char* key,
                 double value) HT_NOEXCEPT; /* written with %.17g's shortest form */
    void (*boolean)(void* self, const char* key, int32_t value) HT_NOEXCEPT;
    void (*wholes)(void* self, const char* key, const int64_t* values, uint64_t n) HT_NOEXCEPT;
    void (*reals)(void* self, const char* key, const double* values, uint64_t n) HT_NOEXCEPT;
    void (*begin)(void* self, const char* key) HT_NOEXCEPT;
    void (*end)(void* self) HT_NOEXCEPT;
} ht_json;

#ifdef __cplusplus
}
#endif
#endif
