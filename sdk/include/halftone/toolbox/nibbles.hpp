// Codes of 4 bits, two to a byte: which of two neighbours in the flattened matrix lies in which half.
#pragma once

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

enum class Packing : uint8_t { bytes, low_nibble_first, high_nibble_first };

HT_DEVICE constexpr uint8_t two_nibbles(uint8_t first, uint8_t second, Packing packing) {
    return static_cast<uint8_t>(packing == Packing::low_nibble_first ? first | second << 4
                                                                     : first << 4 | second);
}
// Of element `place`.
HT_DEVICE constexpr uint8_t nibble_at(uint8_t byte, uint64_t place, Packing packing) {
    const bool upper = (place % 2 == 0) == (packing == Packing::high_nibble_first);
    return static_cast<uint8_t>(upper ? byte >> 4 : byte & 0x0F);
}

// Stores n codes from element `place` on; in ascending order of places, since the first of a byte clears its
// second.
inline void put_nibbles(const uint8_t* codes, uint64_t n, uint64_t place, Packing packing, uint8_t* bytes) {
    uint8_t* to = bytes + place / 2;
    if (place % 2 != 0 && n > 0) {
        *to = static_cast<uint8_t>(*to | two_nibbles(0, *codes, packing));
        ++to, ++codes, --n;
    }
    for (uint64_t k = 0; k + 1 < n; k += 2)
        to[k / 2] = two_nibbles(codes[k], codes[k + 1], packing);
    if (n % 2 != 0) to[n / 2] = two_nibbles(codes[n - 1], 0, packing);
}

inline void take_nibbles(const uint8_t* bytes, uint64_t place, uint64_t n, Packing packing, uint8_t* codes) {
    for (uint64_t k = 0; k < n; ++k)
        codes[k] = nibble_at(bytes[(place + k) / 2], place + k, packing);
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
