// The 16-bit floating-point numbers, for CPU loops and GPU kernels: conversions as IEEE 754 has them, and
// elements of a format that casts, which know no infinity.
#pragma once

#include <halftone/toolbox/device.hpp>
#include <halftone/toolbox/sign_magnitude.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

inline constexpr uint32_t float_exponent = 0x7F800000;

// Half to even; what is too large becomes infinity, every NaN the same one.
HT_DEVICE constexpr uint16_t bf16_bits(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return static_cast<uint16_t>((bits & 0x7FFFFFFF) > float_exponent ? 0x7FC0 : rounded);
}
HT_DEVICE constexpr float bf16_value(uint16_t bits) {
    return float_of(static_cast<uint32_t>(bits) << 16);
}

// The same; NaN keeps its sign and the upper bits of its payload.
HT_DEVICE constexpr uint16_t f16_bits(float value) {
    const uint32_t bits = bits_of(value), magnitude = bits & 0x7FFFFFFF, sign = bits >> 16 & 0x8000;
    // Adding a power of two whose own steps are as wide as those of float16 at `value` rounds it to them.
    // Float16 has the same steps below 2^-14 as right above. All that is too large becomes 2^16, which comes
    // out as infinity.
    constexpr uint32_t least_normal = 113u << 23, too_large = 143u << 23;
    const uint32_t finite = magnitude < too_large ? magnitude : too_large;
    const uint32_t field = finite & float_exponent, exponent = field > least_normal ? field : least_normal;
    const uint32_t coarse = exponent + (13u << 23);
    const uint32_t steps = bits_of(float_of(finite) + float_of(coarse)) - coarse;
    const uint32_t nan = magnitude > float_exponent ? 0x200 | (magnitude >> 13 & 0x3FF) : 0;
    return static_cast<uint16_t>(sign | nan | (steps + ((exponent - least_normal) >> 13)));
}

// A small float whose exponent and mantissa stand where float32 has them, without the sign. `rebias` is how
// much larger the exponent field of float32 is, in its place. A subnormal number is put below an implicit
// one, which is then taken away again: exact, and no float32 on the way is subnormal, so that flush-to-zero
// modes do not matter. Others have nothing taken away, so that the arithmetic stands outside of every choice;
// inside, gcc would not make vector code.
HT_DEVICE constexpr uint32_t rebiased(uint32_t magnitude, uint32_t rebias) {
    constexpr uint32_t least_normal = 1u << 23;
    const bool normal = magnitude >= least_normal;
    const uint32_t one = normal ? 0 : least_normal + rebias;
    return bits_of(float_of(magnitude + (normal ? rebias : one)) - float_of(one));
}
HT_DEVICE constexpr float f16_value(uint16_t bits) {
    const uint32_t magnitude = (bits & 0x7FFFu) << 13, sign = (bits & 0x8000u) << 16;
    return float_of(sign | rebiased(magnitude, magnitude >= 31u << 23 ? 224u << 23 : 112u << 23));
}

struct Bf16Layout {
    static constexpr uint32_t most = 0x7F7F0000;
    static constexpr int32_t most_code = 0x7F7F;
    HT_DEVICE static constexpr uint16_t narrowed(float x) { return bf16_bits(x); }
    HT_DEVICE static constexpr float widened(uint16_t code) { return bf16_value(code); }
};

struct F16Layout {
    static constexpr uint32_t most = 0x477FE000;  // 65504
    static constexpr int32_t most_code = 0x7BFF;
    HT_DEVICE static constexpr uint16_t narrowed(float x) { return f16_bits(x); }
    HT_DEVICE static constexpr float widened(uint16_t code) { return f16_value(code); }
};

// Sign and magnitude; codes of one sign rise with their values. Like the elements of a scalar format, but
// that codes have two bytes.
template <class Layout>
struct Float16 {
    using Code = uint16_t;

    // The nearest code, half to even; what is too large goes to the largest finite number. Not for NaN.
    HT_DEVICE static constexpr Code encode(float x) {
        const uint32_t bits = bits_of(x), size = bits & 0x7FFFFFFF;
        return Layout::narrowed(float_of((bits & 0x80000000) | (size < Layout::most ? size : Layout::most)));
    }
    HT_DEVICE static constexpr float decode(Code code) { return Layout::widened(code); }

    // The codes of the next greater and the next smaller value; at the ends the code itself.
    HT_DEVICE static constexpr Code above(Code code) { return Order::above(code); }
    HT_DEVICE static constexpr Code below(Code code) { return Order::below(code); }

  private:
    using Order = SignMagnitude<Code, Layout::most_code>;
};

using Bf16 = Float16<Bf16Layout>;
using F16 = Float16<F16Layout>;

// float32 itself.
struct F32 {
    using Code = uint32_t;
    HT_DEVICE static constexpr Code encode(float x) { return bits_of(x); }
    HT_DEVICE static constexpr float decode(Code code) { return float_of(code); }
    HT_DEVICE static constexpr Code above(Code code) { return code; }
    HT_DEVICE static constexpr Code below(Code code) { return code; }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
