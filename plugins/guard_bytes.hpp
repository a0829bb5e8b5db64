#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

#include "core/base/aligned.hpp"

namespace halftone {

inline constexpr size_t guard_size = 64;

void fill_guard(std::span<std::byte> guard);
bool guard_is_whole(std::span<const std::byte> guard);
[[noreturn]] void blame(const std::string& culprit, const char* function, const char* side, size_t size);

// Lets `work` write to `buffer`. Watched, it writes to a copy between guard bytes, and whoever wrote to those
// is named (Exit::plugin) before anything is copied back.
template <class Work>
void write_guarded(bool watched, std::span<std::byte> buffer, const std::string& culprit,
                   const char* function, Work&& work) {
    if (!watched) {
        work(buffer.data());
        return;
    }
    AlignedBytes between(buffer.size() + 2 * guard_size);
    const std::span<std::byte> all = between.bytes();
    const std::span<std::byte> copy = all.subspan(guard_size, buffer.size());
    fill_guard(all.first(guard_size));
    fill_guard(all.last(guard_size));
    std::copy(buffer.begin(), buffer.end(), copy.begin());
    work(copy.data());
    if (!guard_is_whole(all.first(guard_size))) blame(culprit, function, "before", buffer.size());
    if (!guard_is_whole(all.last(guard_size))) blame(culprit, function, "after", buffer.size());
    std::copy(copy.begin(), copy.end(), buffer.begin());
}

}  // namespace halftone
