/* What the host lends to a plugin: log, clock, memory, random numbers, and more by query. */
#ifndef HALFTONE_SERVICES_H
#define HALFTONE_SERVICES_H

#include <halftone/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t ht_log_level;
enum { HT_LOG_DEBUG = 0, HT_LOG_INFO = 1, HT_LOG_WARNING = 2, HT_LOG_ERROR = 3 };

/* The instruction sets that the host allows; never more than the machine has. A plugin may use less. */
typedef uint32_t ht_cpu;
enum {
    HT_CPU_BASELINE = 0, /* what the platform's compiler assumes */
    HT_CPU_AVX2 = 1,     /* AVX2, FMA, F16C, BMI2 */
    HT_CPU_AVX512 = 2    /* the above and AVX-512 F, BW, CD, DQ, VL */
};

/* Handed to init(); valid from then until deinit() returns. A member that is NULL or beyond `size` is a
 * service that this host does not have. Nothing here throws or ends the process. */
typedef struct ht_host {
    uint32_t size;
    uint32_t abi_minor; /* of the host; the major is in the name of the entry symbol */
    void* self;         /* pass it back as the first argument */
    ht_cpu cpu;         /* constant for the life of the process */
    uint32_t reserved;

    /* [any] One line for the user's log; the host adds the plugin's name. Copies the text. */
    void (*log)(void* self, ht_log_level level, const char* text) HT_NOEXCEPT;

    /* [any] 1 once the user or a deadline asks to stop, and from then on. Cheap enough for every tile. */
    int32_t (*cancelled)(void* self) HT_NOEXCEPT;

    /* [any] Seconds from an unspecified moment; monotonic. For measuring, never for results. */
    double (*clock)(void* self) HT_NOEXCEPT;

    /* [any] Scratch memory, 64-byte aligned and counted in the run's budget. NULL when there is none left.
     * The plugin gives it back to the same host, on any thread. release(NULL) does nothing. */
    void* (*allocate)(void* self, uint64_t bytes)HT_NOEXCEPT;

    /* [any] Takes scratch memory back. */
    void (*release)(void* self, void* memory) HT_NOEXCEPT;

    /* [any] Fills `out` with n words that depend on seed, stream and their index alone: word i is the same
     * whoever asks for it, so that results do not depend on threads. Counter-based (Philox 4x32-10). */
    void (*random)(void* self, uint64_t seed, uint64_t stream, uint64_t first, uint64_t n,
                   uint32_t* out) HT_NOEXCEPT;

    /* [any] An optional service by its id, "owner.name/revision"; NULL if unknown. Constant, lives as long as
     * the host. */
    const void* (*extension)(void* self, const char* id)HT_NOEXCEPT;

    /* [any] From within a function that returns nothing, on the thread that the host called: its work could
     * not be done, and why. The host fails the job with this text once the function has returned. Copies the
     * text. The first call counts. */
    void (*broke)(void* self, const char* text) HT_NOEXCEPT;
} ht_host;

#ifdef __cplusplus
}
#endif
#endif
