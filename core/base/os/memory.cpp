#include "core/base/os/memory.hpp"

#include <sys/mman.h>

namespace halftone::os {

bool could_reserve(uint64_t bytes) {
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return false;
    ::munmap(at, bytes);
    return true;
}

}  // namespace halftone::os
