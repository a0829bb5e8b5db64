#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/base/error.hpp"

namespace halftone::os {

// Whether the system would give so much memory now. Nothing is kept.
bool could_reserve(uint64_t bytes);

// Zeroed memory straight from the system, which gets it back at once when it is let go. In huge pages where
// there are any: giving out millions of small ones takes as long as the work on them.
constexpr size_t least_large_block = size_t{4} << 20;
std::shared_ptr<void> large_block(size_t bytes);

// For what can be neither waited for nor thrown: removes unfinished files (remove_on_exit), writes the
// message to standard error and ends the process. Any thread, at any moment.
[[noreturn]] void end_at_once(Exit, const char* message);

}  // namespace halftone::os
