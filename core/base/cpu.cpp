#include "core/base/cpu.hpp"

#include "core/base/error.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace halftone::cpu {

namespace {

#if defined(__x86_64__)
// Two features that __builtin_cpu_supports() of some compilers does not know by name.
bool has_f16c() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 29);
}

bool has_lzcnt() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 5);
}
#endif

bool supported(ht_cpu level) {
    if (level == HT_CPU_BASELINE) return true;
#if defined(__x86_64__)
    // This also asks whether the operating system saves the wide registers.
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c() &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && has_lzcnt();
    if (level == HT_CPU_AVX2) return avx2;
    if (level == HT_CPU_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return false;
}

}  // namespace

std::string name(ht_cpu level) {
    switch (level) {
        case HT_CPU_BASELINE:
            return "baseline";
        case HT_CPU_AVX2:
            return "avx2";
        case HT_CPU_AVX512:
            return "avx512";
        default:
            return "level " + std::to_string(level);
    }
}

std::vector<ht_cpu> available() {
    std::vector<ht_cpu> levels;
    for (const ht_cpu level : {HT_CPU_BASELINE, HT_CPU_AVX2, HT_CPU_AVX512})
        if (supported(level)) levels.push_back(level);
    return levels;
}

ht_cpu level_for(const std::optional<std::string>& forced) {
    const std::vector<ht_cpu> levels = available();
    if (!forced || forced->empty()) return levels.back();
    std::vector<std::string> names;
    for (const ht_cpu level : levels) {
        names.push_back(name(level));
        if (names.back() == *forced) return level;
    }
    const bool known = *forced == name(HT_CPU_AVX2) || *forced == name(HT_CPU_AVX512);
    throw Error(Exit::usage, "HALFTONE_CPU",
                known
                    ? fmt::format("this machine does not have '{}'", *forced)
                    : fmt::format("'{}' is no instruction set that Halftone knows", text::printable(*forced)),
                fmt::format("this machine has {}", text::join(names, ", ")));
}

ht_cpu level() {
    static const ht_cpu chosen = level_for(os::environment("HALFTONE_CPU"));
    return chosen;
}

}  // namespace halftone::cpu
