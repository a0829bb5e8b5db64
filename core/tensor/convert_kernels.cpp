// Branch-free loops that compilers turn into vector code; compiled once per CPU level. Nothing here is shared
// between levels (see halftone/cpu.hpp), so no templates of std.

#include "core/tensor/convert_kernels.hpp"

#include <cstring>

#include <halftone/toolbox/float16.hpp>

namespace halftone::HALFTONE_CPU_LEVEL {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are loaded as they are stored");

using toolbox::bits_of, toolbox::float_of, toolbox::float_exponent, toolbox::rebiased;

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

struct Bf16 {
    using Stored = uint16_t;
    static uint32_t widened(uint16_t x) { return bits_of(toolbox::bf16_value(x)); }
};

struct F16 {
    using Stored = uint16_t;
    static uint32_t widened(uint16_t x) { return bits_of(toolbox::f16_value(x)); }
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
    return toolbox::bf16_bits(value);
}
uint16_t to_f16_bits(float value) {
    return toolbox::f16_bits(value);
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
