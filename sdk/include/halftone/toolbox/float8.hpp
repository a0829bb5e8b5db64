// The 8-bit floating-point numbers as elements of a scalar format (scalar_format.hpp says what an element
// is). The one place that knows them: CPU loops, tables and GPU kernels are made from these functions.
#pragma once

#include <halftone/toolbox/device.hpp>
#include <halftone/toolbox/sign_magnitude.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// Bit patterns of float32 unless said otherwise.
struct E4m3fnLayout {
    static constexpr uint32_t mantissa_bits = 3;
    static constexpr uint32_t least_normal = 0x3C800000;  // 2^-6
    static constexpr uint32_t most = 0x43E00000;          // 448
    static constexpr float most_value = 448;
    static constexpr uint8_t most_code = 0x7E;
};

struct E5m2Layout {
    static constexpr uint32_t mantissa_bits = 2;
    static constexpr uint32_t least_normal = 0x38800000;  // 2^-14
    static constexpr uint32_t most = 0x47600000;          // 57344
    static constexpr float most_value = 57344;
    static constexpr uint8_t most_code = 0x7B;
};

// Sign and magnitude; codes of one sign rise with their values. Free of branches, so that loops vectorize;
// right in round-to-nearest-even mode, with or without flushing of subnormal numbers.
template <class Layout>
struct Float8 {
    using Code = uint8_t;
    static constexpr Code lowest = 0x80 | Layout::most_code;
    static constexpr float most = Layout::most_value;

    // The nearest code, half to even; what is too large goes to the largest finite number, as by a clamp
    // before the conversion. Not for NaN.
    HT_DEVICE static constexpr Code encode(float t) {
        const uint32_t bits = bits_of(t), size = bits & 0x7FFFFFFF;
        return joined(bits, magnitude(size < Layout::most ? size : Layout::most));
    }

    // Steps times the size of a step, and all exponent bits set above the largest finite number.
    HT_DEVICE static constexpr float decode(Code code) {
        const uint32_t size = code & 0x7Fu, sign = (code & 0x80u) << 24, field = size >> mantissa_bits;
        const uint32_t binade = field > 1 ? field - 1 : 0;
        const auto steps = static_cast<float>(static_cast<int32_t>(size - (binade << mantissa_bits)));
        const float value = steps * float_of(least_step + (binade << 23));
        const uint32_t special = 0 - static_cast<uint32_t>(size > Layout::most_code);
        return float_of(bits_of(value) | (special & 0x7F800000) | sign);
    }

    // decode(encode(t)) without the way through a code: what the addition that rounds has added is taken off.
    HT_DEVICE static constexpr float rounded(float t) {
        const uint32_t bits = bits_of(t), size = bits & 0x7FFFFFFF;
        const uint32_t most = size < Layout::most ? size : Layout::most, exponent = most & 0x7F800000;
        const uint32_t binade = exponent > Layout::least_normal ? exponent : Layout::least_normal;
        const float aligner = float_of(binade + (shift << 23));
        return float_of(bits_of((float_of(most) + aligner) - aligner) | (bits & 0x80000000));
    }

    // The codes of the next greater and the next smaller value; at the ends the code itself.
    HT_DEVICE static constexpr Code above(Code code) { return Order::above(code); }
    HT_DEVICE static constexpr Code below(Code code) { return Order::below(code); }

  private:
    using Order = SignMagnitude<Code, Layout::most_code>;
    static constexpr uint32_t mantissa_bits = Layout::mantissa_bits, shift = 23 - mantissa_bits;
    static constexpr uint32_t least_step = Layout::least_normal - (mantissa_bits << 23);

    // The code of a number >= 0, in the low 8 bits. Adding a power of two that is 2^shift times larger than
    // the number's own leaves the number of its steps in the low bits of the sum, rounded half to even by the
    // addition itself; to them goes the place of the binade. All that is constant rides on the power of two.
    HT_DEVICE static constexpr uint32_t magnitude(uint32_t size) {
        const uint32_t exponent = size & 0x7F800000;
        const uint32_t binade = exponent > Layout::least_normal ? exponent : Layout::least_normal;
        const uint32_t aligner = binade + ((shift << 23) | least_place);
        return bits_of(float_of(size) + float_of(aligner)) + (binade >> shift);
    }
    static constexpr uint32_t least_place = (0 - (Layout::least_normal >> shift)) & 0xFF;
    static_assert(least_place % 2 == 0, "an odd number would turn half to even into half to odd");

    // With the sign of `bits`. Both are shifted into place together: a narrowing of the parts one by one,
    // which compilers do where they can, costs a third of the speed.
    HT_DEVICE static constexpr Code joined(uint32_t bits, uint32_t size) {
        return static_cast<Code>((size << 24 | (bits & 0x80000000)) >> 24);
    }
};

using E4m3fn = Float8<E4m3fnLayout>;  // no infinities, up to 448
using E5m2 = Float8<E5m2Layout>;      // the upper half of a float16, up to 57344

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
