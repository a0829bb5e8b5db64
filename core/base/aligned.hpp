#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "core/base/os/memory.hpp"

namespace halftone {

// Zeroed bytes on a 64-byte boundary, of a size fixed when made.
class AlignedBytes {
  public:
    AlignedBytes() = default;
    explicit AlignedBytes(size_t size) : size_(size) {
        if (size >= os::least_large_block) {
            owner_ = os::large_block(size);
            data_ = static_cast<std::byte*>(owner_.get());
        } else {
            data_ = static_cast<std::byte*>(::operator new(size ? size : 1, alignment));
            std::memset(data_, 0, size_);
        }
    }
    // Memory that belongs to someone else, who is let go of at the end.
    AlignedBytes(std::span<std::byte> memory, std::shared_ptr<void> owner)
        : data_(memory.data()), size_(memory.size()), owner_(std::move(owner)) {}
    AlignedBytes(AlignedBytes&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          owner_(std::move(other.owner_)) {}
    AlignedBytes& operator=(AlignedBytes&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(owner_, other.owner_);
        return *this;
    }
    ~AlignedBytes() {
        if (!owner_) ::operator delete(data_, alignment);
    }

    std::byte* data() { return data_; }
    const std::byte* data() const { return data_; }
    size_t size() const { return size_; }
    std::span<std::byte> bytes() { return {data_, size_}; }
    std::span<const std::byte> bytes() const { return {data_, size_}; }

    template <class T>
    std::span<T> as() {
        return {reinterpret_cast<T*>(data_), size_ / sizeof(T)};
    }

  private:
    static constexpr std::align_val_t alignment{64};
    std::byte* data_ = nullptr;
    size_t size_ = 0;
    std::shared_ptr<void> owner_;
};

}  // namespace halftone
