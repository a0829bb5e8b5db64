#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

// How far a struct reached when it first came with the contract: a shorter one is broken, a longer one is
// from a newer SDK.
#define HALFTONE_SIZE_TO(type, member) (offsetof(type, member) + sizeof(type::member))

namespace halftone {

// A struct of the other side, as far as both know it; what lies beyond its own size is zero.
template <class T>
T copied(const T* from) {
    T to{};
    uint32_t size;
    std::memcpy(&size, from, sizeof size);
    std::memcpy(&to, from, std::min<size_t>(size, sizeof(T)));
    return to;
}

}  // namespace halftone
