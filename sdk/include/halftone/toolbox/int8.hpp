// 8-bit integers as elements of a scalar format (scalar_format.hpp says what an element is). The one place
// that knows them: CPU loops, tables and GPU kernels are made from these functions.
#pragma once

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// -127 to 127; -128 is never written, so that the codes are symmetric, but is read.
struct Int8 {
    using Code = int8_t;
    static constexpr Code lowest = -127;
    static constexpr float most = 127;

    // The nearest, half to even; what is too large goes to the end. Not for NaN. Adding 1.5 * 2^23 leaves the
    // rounded number in the low bits of the sum, rounded by the addition itself.
    HT_DEVICE static constexpr Code encode(float t) {
        const float low = t > -most ? t : -most;
        const float clamped = low < most ? low : most;
        constexpr float aligner = 12582912.0f;
        return static_cast<Code>(bits_of(clamped + aligner) - bits_of(aligner));
    }

    HT_DEVICE static constexpr float decode(Code code) { return static_cast<float>(code); }

    HT_DEVICE static constexpr Code above(Code code) {
        return static_cast<Code>(code < 127 ? code + 1 : 127);
    }
    HT_DEVICE static constexpr Code below(Code code) {
        return static_cast<Code>(code > -127 ? code - 1 : -127);
    }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
