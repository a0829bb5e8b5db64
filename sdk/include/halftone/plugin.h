/* The descriptor: what a plugin library exports. */
#ifndef HALFTONE_PLUGIN_H
#define HALFTONE_PLUGIN_H

#include <halftone/abi.h>
#include <halftone/services.h>
#include <halftone/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint32_t ht_kind;
enum {
    HT_KIND_FORMAT = 1,    /* table: ht_format */
    HT_KIND_MODEL = 2,     /* table: ht_model */
    HT_KIND_OPTIMIZER = 3, /* table: ht_optimizer (draft) */
    HT_KIND_DEVICE = 4     /* table: ht_device (draft) */
};

/* A constant: the host may read it at any time while the library is loaded, and does so before init().
 * Everything it points to lives as long as the library. The library file is named KIND-ID.so (format-fp8.so),
 * and the host refuses one whose name says otherwise. */
typedef struct ht_plugin {
    uint32_t size;
    ht_kind kind;
    uint32_t host_minor; /* the oldest ABI minor of a host that this plugin can use; not the one it was built
                            with */
    uint32_t reserved;
    const char* id;                  /* [a-z0-9][a-z0-9_.-]*; third parties prefix theirs: "acme.int4" */
    const char* version;             /* "1.2.3" */
    const char* summary;             /* one line */
    const char* license;             /* SPDX */
    const ht_option* const* options; /* n_options of them; NULL if 0 */
    uint64_t n_options;
    const void* table; /* of the kind's type */

    /* [one] Called once after loading and before any function of the table, NULL if not needed. Must do
     * without I/O, threads and device work. On anything but HT_OK the plugin is not used and deinit() not
     * called. */
    ht_status (*init)(const ht_host* host, ht_error* error) HT_NOEXCEPT;

    /* [one] Called once, after the last function of the table has returned; NULL if not needed. init() may be
     * called again afterwards. */
    void (*deinit)(void) HT_NOEXCEPT;
} ht_plugin;

#ifdef __cplusplus
}
#endif

/* Define it like this, in C or C++:
 *     HT_PLUGIN = { sizeof(ht_plugin), HT_KIND_FORMAT, 0, 0, "acme.int4", ... }; */
#ifdef __cplusplus
#define HT_PLUGIN                                        \
    extern "C" HT_EXPORT const ht_plugin HALFTONE_ENTRY; \
    const ht_plugin HALFTONE_ENTRY
#else
#define HT_PLUGIN                                    \
    extern HT_EXPORT const ht_plugin HALFTONE_ENTRY; \
    const ht_plugin HALFTONE_ENTRY
#endif

#endif
