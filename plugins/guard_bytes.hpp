#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "core/base/aligned.hpp"
#include "core/base/os/fence.hpp"
#include "plugins/watch.hpp"

namespace halftone {

inline constexpr size_t guard_size = 256;

void fill_guard(std::span<std::byte> guard);
bool guard_is_whole(std::span<const std::byte> guard);
// A copy of a buffer that is watched on both sides.
class WatchedCopy {
  public:
    WatchedCopy(Watch, std::span<const std::byte>);
    ~WatchedCopy();
    WatchedCopy(const WatchedCopy&) = delete;
    WatchedCopy& operator=(const WatchedCopy&) = delete;

    std::byte* data() const { return data_; }
    void check(const std::string& culprit, const char* function) const;

  private:
    AlignedBytes memory_;
    std::unique_ptr<os::FencedMemory> fenced_;
    std::span<std::byte> before_, after_;
    std::byte* data_;
    size_t size_;
};

[[noreturn]] void blame(const std::string& culprit, const char* function, const char* side, size_t size);

// Lets `work` write to `buffer`. Watched, it writes to a copy between guard bytes or fences, and whoever
// wrote to those is named (Exit::plugin) before anything is copied back.
template <class Work>
void write_guarded(Watch watch, std::span<std::byte> buffer, const std::string& culprit, const char* function,
                   Work&& work) {
    if (watch == Watch::no) {
        work(buffer.data());
        return;
    }
    const WatchedCopy copy(watch, buffer);
    work(copy.data());
    copy.check(culprit, function);
    std::copy_n(copy.data(), buffer.size(), buffer.data());
}

// The same for a buffer that `work` only reads; only fences notice that.
template <class Work>
void read_guarded(Watch watch, std::span<const std::byte> buffer, const std::string& culprit,
                  const char* function, Work&& work) {
    if (watch != Watch::fenced) {
        work(buffer.data());
        return;
    }
    const WatchedCopy copy(watch, buffer);
    work(static_cast<const std::byte*>(copy.data()));
    copy.check(culprit, function);
}

// Zeroed, fenced in, with guard bytes in what is mapped behind it; the result is longer than `size` by those.
AlignedBytes fenced_bytes(size_t size);

}  // namespace halftone
