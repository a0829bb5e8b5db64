#pragma once

#include <optional>
#include <string>
#include <vector>

#include <halftone/services.h>

namespace halftone::cpu {

// "baseline", "avx2", "avx512".
std::string name(ht_cpu);

// The levels that this machine has, lowest first.
std::vector<ht_cpu> available();

// The level that every kernel uses: HALFTONE_CPU if set, otherwise the highest. A forced level is obeyed or
// is an error (Exit::usage), never replaced by another. Read once per process.
ht_cpu level();

// What level() makes of HALFTONE_CPU.
ht_cpu level_for(const std::optional<std::string>& forced);

}  // namespace halftone::cpu
