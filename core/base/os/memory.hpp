#pragma once

#include <cstdint>

#include "core/base/error.hpp"

namespace halftone::os {

// Whether the system would give so much memory now. Nothing is kept.
bool could_reserve(uint64_t bytes);

// For what can be neither waited for nor thrown: removes unfinished files (remove_on_exit), writes the
// message to standard error and ends the process. Any thread, at any moment.
[[noreturn]] void end_at_once(Exit, const char* message);

}  // namespace halftone::os
