#include "core/base/version.hpp"

#include <fmt/format.h>

namespace halftone {

namespace {

#if defined(__has_feature)
#define HALFTONE_HAS_FEATURE(name) __has_feature(name)
#else
#define HALFTONE_HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || HALFTONE_HAS_FEATURE(address_sanitizer)
constexpr const char* sanitizer = ", AddressSanitizer";
#elif defined(__SANITIZE_THREAD__) || HALFTONE_HAS_FEATURE(thread_sanitizer)
constexpr const char* sanitizer = ", ThreadSanitizer";
#else
constexpr const char* sanitizer = "";
#endif

#if defined(__OPTIMIZE__)
constexpr const char* optimization = "optimized";
#else
constexpr const char* optimization = "not optimized";
#endif

#if defined(NDEBUG)
constexpr const char* assertions = "";
#else
constexpr const char* assertions = ", with assertions";
#endif

std::string compiler() {
#if defined(__clang__)
    return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#elif defined(__GNUC__)
    return fmt::format("gcc {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#else
    return "unknown compiler";
#endif
}

}  // namespace

std::string version() {
    return HALFTONE_VERSION;
}

std::string build_description() {
    return fmt::format("{}, {}{}{}", compiler(), optimization, assertions, sanitizer);
}

std::string bundled_plugin_dir() {
    return HALFTONE_PLUGIN_DIR;
}

}  // namespace halftone
