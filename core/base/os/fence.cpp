#include "core/base/os/fence.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>

namespace halftone::os {

namespace {

// More than a loop with a wrong end, or an index of another row, goes astray. Costs addresses alone.
constexpr size_t fence_bytes = 16u << 20;

size_t page() {
    static const auto size = static_cast<size_t>(std::max(1L, ::sysconf(_SC_PAGESIZE)));
    return size;
}

size_t rounded_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

}  // namespace

// For the signal handler, which takes no lock: a list that only grows.
struct FencedMemory::Place {
    std::atomic<bool> taken = true;
    std::atomic<uintptr_t> data = 0;  // 0: nothing is there
    std::atomic<size_t> size = 0;
    Place* next = nullptr;

    static std::atomic<Place*> all;
    static Place* take() {
        for (Place* one = all.load(); one; one = one->next) {
            bool taken = false;
            if (one->taken.compare_exchange_strong(taken, true)) return one;
        }
        auto* const made = new Place;
        made->next = all.load();
        while (!all.compare_exchange_weak(made->next, made)) {
        }
        return made;
    }
};
std::atomic<FencedMemory::Place*> FencedMemory::Place::all = nullptr;

FencedMemory::FencedMemory(size_t size, size_t alignment, Touching touching) : size_(size) {
    const size_t inside = rounded_up(std::max<size_t>(size, 1), page());
    reserved_bytes_ = inside + 2 * fence_bytes;
    void* const memory =
        ::mmap(nullptr, reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    reserved_ = static_cast<std::byte*>(memory);
    first_ = reserved_ + fence_bytes;
    last_ = first_ + inside;
    if (::mprotect(first_, inside, PROT_READ | PROT_WRITE) != 0) {
        ::munmap(reserved_, reserved_bytes_);
        throw std::bad_alloc();
    }
    data_ = touching == Touching::start ? first_ : last_ - rounded_up(size, alignment);
    place_ = Place::take();
    place_->size = size_;
    place_->data = reinterpret_cast<uintptr_t>(data_);
}

FencedMemory::~FencedMemory() {
    place_->data = 0;
    place_->taken = false;
    ::munmap(reserved_, reserved_bytes_);
}

namespace {

// By the addresses of their data.
struct Owned {
    std::mutex mutex;
    std::unordered_map<void*, std::unique_ptr<FencedMemory>> memory;
};

Owned& owned() {
    static auto* owned = new Owned;  // never destroyed: containers of static lifetime may use it
    return *owned;
}

}  // namespace

void* fenced(size_t bytes, size_t alignment) {
    auto memory =
        std::make_unique<FencedMemory>(std::max<size_t>(bytes, 1), alignment, FencedMemory::Touching::end);
    void* const data = memory->data().data();
    const std::lock_guard lock(owned().mutex);
    owned().memory.emplace(data, std::move(memory));
    return data;
}

void drop_fenced(void* data, size_t) noexcept {
    const std::lock_guard lock(owned().mutex);
    owned().memory.erase(data);
}

bool explain_fence(const void* address, char* text, size_t size) noexcept {
    const auto at = reinterpret_cast<uintptr_t>(address);
    const auto put = [&](const char* words) {
        for (; *words && size > 1; ++words, --size)
            *text++ = *words;
        *text = '\0';
    };
    const auto put_number = [&](uint64_t n) {
        char digits[24];
        size_t i = sizeof digits;
        digits[--i] = '\0';
        do
            digits[--i] = static_cast<char>('0' + n % 10);
        while (n /= 10);
        put(digits + i);
    };
    for (const FencedMemory::Place* one = FencedMemory::Place::all.load(); one; one = one->next) {
        const uintptr_t data = one->data;
        const size_t bytes = one->size;
        if (data == 0) continue;
        const bool before = at < data && data - at <= fence_bytes;
        const bool after = at >= data + bytes && at - data - bytes < fence_bytes;
        if (!before && !after) continue;
        put_number(before ? data - at : at - data - bytes);
        put(before ? " bytes before the start of the " : " bytes after the end of the ");
        put_number(bytes);
        put(" bytes that it was given");
        return true;
    }
    return false;
}

}  // namespace halftone::os
