#include "core/base/os/memory.hpp"

#include <new>
#include <sys/mman.h>

namespace halftone::os {

bool could_reserve(uint64_t bytes) {
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return false;
    ::munmap(at, bytes);
    return true;
}

std::shared_ptr<void> large_block(size_t bytes) {
    constexpr size_t huge_page = size_t{2} << 20;
    // More than is needed, so that a huge page can begin with it; what is never touched takes no memory.
    const size_t mapped = bytes + huge_page;
    void* const at = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    void* aligned = at;
    size_t room = mapped;
    std::align(huge_page, bytes, aligned, room);
#ifdef MADV_HUGEPAGE
    ::madvise(aligned, bytes, MADV_HUGEPAGE);
#endif
    return {aligned, [at, mapped](void*) { ::munmap(at, mapped); }};
}

}  // namespace halftone::os
