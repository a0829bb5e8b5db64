// Branch-free loops that compilers turn into vector code; compiled once per CPU level. Nothing here is shared
// between levels (see halftone/cpu.hpp), so no templates of std.

#include "core/tensor/convert_kernels.hpp"

#include <cstring>

namespace halftone::HALFTONE_CPU_LEVEL {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are loaded as they are stored");

constexpr uint32_t float_exponent = 0x7F800000;

template <class Stored>
Stored load(const unsigned char* from, size_t i) {
    Stored value;
    std::memcpy(&value, from + i * sizeof value, sizeof value);
    return value;
}

template <class Stored>
void store(Stored value, unsigned char* to, size_t i) {
    std::memcpy(to + i * sizeof value, &value, sizeof value);
}

uint32_t bits_of(float value) {
    return __builtin_bit_cast(uint32_t, value);
}

float float_of(uint32_t bits) {
    return __builtin_bit_cast(float, bits);
}

// A small float whose exponent and mantissa stand where float32 has them, without the sign. `rebias` is how
// much larger the exponent field of float32 is, in its place. A subnormal number is put below an implicit
// one, which is then taken away again: exact, and no float32 on the way is subnormal, so that flush-to-zero
// modes do not matter. Others have nothing taken away, so that the arithmetic stands outside of every choice;
// inside, gcc would not make vector code.
uint32_t rebiased(uint32_t magnitude, uint32_t rebias) {
    constexpr uint32_t least_normal = 1u << 23;
    const bool normal = magnitude >= least_normal;
    const uint32_t one = normal ? 0 : least_normal + rebias;
    return bits_of(float_of(magnitude + (normal ? rebias : one)) - float_of(one));
}

struct Bf16 {
    using Stored = uint16_t;
    static uint32_t widened(uint16_t x) { return uint32_t{x} << 16; }
};

struct F16 {
    using Stored = uint16_t;
    static uint32_t widened(uint16_t x) {
        const uint32_t magnitude = (x & 0x7FFFu) << 13, sign = (x & 0x8000u) << 16;
        return sign | rebiased(magnitude, magnitude >= 31u << 23 ? 224u << 23 : 112u << 23);
    }
};

struct F8E5M2 {
    using Stored = uint8_t;
    static uint32_t widened(uint8_t x) { return F16::widened(static_cast<uint16_t>(x << 8)); }
};

struct F8E4M3 {
    using Stored = uint8_t;
    static uint32_t widened(uint8_t x) {
        const uint32_t magnitude = (x & 0x7Fu) << 20, sign = (x & 0x80u) << 24;
        return sign | rebiased(magnitude, magnitude == 0x7Fu << 20 ? 240u << 23 : 120u << 23);
    }
};

struct F32 {
    using Stored = uint32_t;
    static uint32_t widened(uint32_t x) { return x; }
};

struct F64 {
    using Stored = double;
    static uint32_t widened(double x) { return bits_of(static_cast<float>(x)); }
};

// In blocks, so that a 32-bit counter, which has the width of the data, cannot overflow.
constexpr size_t block = size_t{1} << 20;

template <class Element>
uint64_t widen(const unsigned char* from, float* to, size_t n) {
    using Stored = typename Element::Stored;
    uint64_t total = 0;
    for (size_t start = 0; start < n; start += block) {
        const size_t count = n - start < block ? n - start : block;
        const unsigned char* __restrict source = from + start * sizeof(Stored);
        float* __restrict target = to + start;
        uint32_t non_finite = 0;
        for (size_t i = 0; i < count; ++i) {
            const uint32_t bits = Element::widened(load<Stored>(source, i));
            non_finite += (bits & float_exponent) == float_exponent;
            target[i] = float_of(bits);
        }
        total += non_finite;
    }
    return total;
}

uint16_t to_bf16_bits(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return static_cast<uint16_t>((bits & 0x7FFFFFFF) > float_exponent ? 0x7FC0 : rounded);
}

uint16_t to_f16_bits(float value) {
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

template <uint16_t narrowed(float)>
void narrow(const float* from, unsigned char* to, size_t n) {
    const float* __restrict source = from;
    unsigned char* __restrict target = to;
    for (size_t i = 0; i < n; ++i)
        store(narrowed(source[i]), target, i);
}

void copy(const float* from, unsigned char* to, size_t n) {
    if (n > 0) std::memcpy(to, from, n * sizeof(float));
}

}  // namespace

const ConvertKernels convert_kernels = {
    widen<F64>,    widen<F32>, widen<F16>,          widen<Bf16>,          widen<F8E4M3>,
    widen<F8E5M2>, copy,       narrow<to_f16_bits>, narrow<to_bf16_bits>,
};

}  // namespace halftone::HALFTONE_CPU_LEVEL
