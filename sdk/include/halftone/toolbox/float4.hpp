// The 4-bit floating-point numbers E2M1 as an element (scalar_format.hpp says what that is), and two codes to
// a byte.
#pragma once

#include <halftone/toolbox/float8.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

struct E2m1Layout {
    static constexpr uint32_t mantissa_bits = 1;
    static constexpr uint32_t least_normal = 0x3F800000;  // 1
    static constexpr uint32_t most = 0x40C00000;          // 6
    static constexpr float most_value = 6;
    static constexpr uint8_t most_code = 7;
};

// 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; the sign is bit 3. The same arithmetic as for 8 bits, where
// the sign is bit 7.
struct E2m1 {
    using Code = uint8_t;
    static constexpr Code lowest = 15;
    static constexpr float most = E2m1Layout::most_value;

    // Half to even; clamps; keeps the sign of zero. Not for NaN.
    HT_DEVICE static constexpr Code encode(float t) { return narrow(Wide::encode(t)); }
    HT_DEVICE static constexpr float decode(Code code) { return Wide::decode(wide(code)); }
    HT_DEVICE static constexpr float rounded(float t) { return Wide::rounded(t); }  // decode(encode(t))
    HT_DEVICE static constexpr Code above(Code code) { return narrow(Wide::above(wide(code))); }
    HT_DEVICE static constexpr Code below(Code code) { return narrow(Wide::below(wide(code))); }

  private:
    using Wide = Float8<E2m1Layout>;
    HT_DEVICE static constexpr Code narrow(Code code) {
        return static_cast<Code>((code & 7) | (code >> 4 & 8));
    }
    HT_DEVICE static constexpr Code wide(Code code) {
        return static_cast<Code>((code & 7) | (code & 8) << 4);
    }
};

// Two codes of 4 bits in a byte, the first one in the upper half.
struct FirstHigh {
    HT_DEVICE static constexpr uint8_t pack(uint8_t first, uint8_t second) {
        return static_cast<uint8_t>(first << 4 | second);
    }
    HT_DEVICE static constexpr uint8_t first(uint8_t packed) { return packed >> 4; }
    HT_DEVICE static constexpr uint8_t second(uint8_t packed) { return packed & 15; }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
