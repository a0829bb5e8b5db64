#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace halftone::os {

// Where an address lies that a crash was at: "64 bytes after the end of the 12288 bytes that it was given".
// False if it is beside no fenced memory. May be called in a signal handler; see explain_crashes_with().
bool explain_fence(const void* address, char* text, size_t size) noexcept;

// Zeroed bytes with megabytes of addresses on both sides that nobody may touch: whoever reaches beyond them
// crashes there instead of changing something else.
class FencedMemory {
  public:
    enum class Touching { end, start };  // which side of the data has nothing mapped beside it

    // `alignment`: a power of two of at most a page; with Touching::end it leaves up to alignment - 1 bytes
    // behind the data.
    FencedMemory(size_t size, size_t alignment, Touching);
    ~FencedMemory();
    FencedMemory(const FencedMemory&) = delete;
    FencedMemory& operator=(const FencedMemory&) = delete;

    std::span<std::byte> data() const { return {data_, size_}; }
    // What is mapped around the data, up to the end of a page.
    std::span<std::byte> before() const { return {first_, static_cast<size_t>(data_ - first_)}; }
    std::span<std::byte> after() const { return {data_ + size_, static_cast<size_t>(last_ - data_) - size_}; }

  private:
    friend bool explain_fence(const void*, char*, size_t) noexcept;
    struct Place;
    std::byte *reserved_, *first_, *data_, *last_;
    size_t reserved_bytes_, size_;
    Place* place_;
};

// Fenced memory by its address alone, touching the fence with its end.
void* fenced(size_t bytes, size_t alignment);
void drop_fenced(void*, size_t bytes) noexcept;

// For containers: the elements end where nothing is mapped any more.
template <class T>
struct FencedAllocator {
    using value_type = T;
    FencedAllocator() = default;
    template <class U>
    FencedAllocator(const FencedAllocator<U>&) {}  // NOLINT(google-explicit-constructor)

    T* allocate(size_t n) { return static_cast<T*>(fenced(n * sizeof(T), alignof(T))); }
    void deallocate(T* elements, size_t n) { drop_fenced(elements, n * sizeof(T)); }
    bool operator==(const FencedAllocator&) const { return true; }
};

}  // namespace halftone::os
