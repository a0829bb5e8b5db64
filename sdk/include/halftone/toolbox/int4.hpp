// 4-bit integers as elements of a scalar format (scalar_format.hpp says what an element is). The one place
// that knows them: CPU loops, tables and GPU kernels are made from these functions.
#pragma once

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// -7 to 7 in two's complement, the upper half of the byte being 0; -8 is never written, so that the codes are
// symmetric, but is read.
struct Int4 {
    using Code = uint8_t;
    static constexpr Code lowest = 0x9;
    static constexpr float most = 7;

    // The nearest, half to even; what is too large goes to the end. Not for NaN. As in Int8, the addition
    // rounds.
    HT_DEVICE static constexpr Code encode(float t) {
        const float low = t > -most ? t : -most;
        const float clamped = low < most ? low : most;
        constexpr float aligner = 12582912.0f;
        return static_cast<Code>(bits_of(clamped + aligner) & 0xF);
    }

    HT_DEVICE static constexpr float decode(Code code) { return static_cast<float>(value(code)); }

    HT_DEVICE static constexpr Code above(Code code) {
        return code_of(value(code) < 7 ? value(code) + 1 : 7);
    }
    HT_DEVICE static constexpr Code below(Code code) {
        return code_of(value(code) > -7 ? value(code) - 1 : -7);
    }

  private:
    HT_DEVICE static constexpr int32_t value(Code code) { return static_cast<int32_t>(code ^ 8) - 8; }
    HT_DEVICE static constexpr Code code_of(int32_t value) { return static_cast<Code>(value & 0xF); }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
