#pragma once

#include <cstdint>
#include <functional>

namespace halftone {

// Calls work(i) for every i < n on the threads of the task arena in use, and waits. While it waits, its
// thread starts nothing else. The first exception is thrown here.
void each_tile(uint64_t n, const std::function<void(uint64_t)>& work);

// How many pieces of at most `length` make up `total`.
constexpr uint64_t pieces(uint64_t total, uint64_t length) {
    return total / length + (total % length != 0);
}

}  // namespace halftone
