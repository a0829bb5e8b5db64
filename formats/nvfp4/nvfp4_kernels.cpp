#include "nvfp4_kernels.hpp"

#include <halftone/toolbox/float4.hpp>

namespace halftone::nvfp4::HALFTONE_CPU_LEVEL {

namespace {

using toolbox::E2m1;
using toolbox::E4m3fn;
using Pair = toolbox::FirstHigh;

constexpr float infinity = __builtin_inff();

// visit(i, n, g): elements i to i + n are block g. Inlined, so that `n` is a constant for whole blocks.
template <class Visit>
HT_DEVICE void each_block(size_t n, const Visit& visit) {
    size_t i = 0, g = 0;
    for (; i + block <= n; i += block)
        visit(i, block, g++);
    if (i < n) visit(i, n - i, g);
}
#define EACH [&](size_t i, size_t count, size_t g) __attribute__((always_inline))

HT_DEVICE float step(uint8_t scale, float tensor_scale) {
    return tensor_scale * E4m3fn::decode(scale);
}

void steps(const uint8_t* scales, size_t n, float tensor_scale, float* pre, float* post) {
    for (size_t g = 0; g < n; ++g) {
        post[g] = step(scales[g], tensor_scale);
        pre[g] = post[g] > 0 ? post[g] : infinity;
    }
}

// As many candidates as the widest registers have numbers: the plain code, then those from 6 above it to 9
// below. Each has a place in every register, so that its errors are added in one order at every CPU level.
constexpr size_t candidates = 16;
constexpr int from_plain[candidates] = {0, 6, 5, 4, 3, 2, 1, -1, -2, -3, -4, -5, -6, -7, -8, -9};

HT_DEVICE uint8_t searched(const float* x, size_t n, float amax, float tensor_scale, const float* weight,
                           uint8_t plain) {
    const float unit = toolbox::error_unit(amax);
    int32_t code[candidates];
    float pre[candidates], post[candidates], error[candidates] = {};
    for (size_t c = 0; c < candidates; ++c) {
        const int32_t at = plain + from_plain[c];
        code[c] = at < 0 ? 0 : at > 0x7E ? 0x7E : at;
        const float exact = step(static_cast<uint8_t>(code[c]), tensor_scale);
        pre[c] = exact > 0 ? exact : infinity;
        post[c] = exact * unit;
    }
    for (size_t i = 0; i < n; ++i)
        for (size_t c = 0; c < candidates; ++c) {
            const float off = x[i] * unit - E2m1::rounded(x[i] / pre[c]) * post[c];
            error[c] += weight ? weight[i] * (off * off) : off * off;
        }
    // The least error, in the last bits of which stands whose it is: of equals the first.
    int32_t least = INT32_MAX;
    for (size_t c = 0; c < candidates; ++c) {
        const auto place = static_cast<int32_t>(c);
        const int32_t found = static_cast<int32_t>(toolbox::bits_of(error[c]) & ~(candidates - 1)) | place;
        least = found < least ? found : least;
    }
    return static_cast<uint8_t>(code[static_cast<size_t>(least) % candidates]);
}

void fit(const float* x, size_t n, float tensor_scale, bool search, const float* column_weight,
         uint8_t* scales, float* pre, float* post) {
    each_block(
        n, EACH {
            const float amax = toolbox::loops::largest<E2m1>(x + i, count);
            scales[g] = E4m3fn::encode(amax / 6 / tensor_scale);
            if (!search || amax == 0) return;
            scales[g] = column_weight
                            ? searched(x + i, count, amax, tensor_scale, column_weight + i, scales[g])
                            : searched(x + i, count, amax, tensor_scale, nullptr, scales[g]);
        });
    steps(scales, (n + block - 1) / block, tensor_scale, pre, post);
}

void encode(const float* x, size_t n, const float* pre, uint8_t* packed) {
    each_block(
        n, EACH {
            uint8_t codes[block] = {};
            if (pre[g] < infinity)
                for (size_t k = 0; k < count; ++k)
                    codes[k] = E2m1::encode(x[i + k] / pre[g]);
            for (size_t k = 0; k < block / 2; ++k)
                packed[i / 2 + k] = Pair::pack(codes[2 * k], codes[2 * k + 1]);
        });
}

void decode(const uint8_t* packed, size_t n, const float* post, float* values) {
    each_block(
        n, EACH {
            uint8_t codes[block];
            for (size_t k = 0; k < block / 2; ++k) {
                codes[2 * k] = Pair::first(packed[i / 2 + k]);
                codes[2 * k + 1] = Pair::second(packed[i / 2 + k]);
            }
            for (size_t k = 0; k < count; ++k)
                values[i + k] = E2m1::decode(codes[k]) * post[g];
        });
}
#undef EACH

}  // namespace

const Kernels kernels = {toolbox::scalar_kernels<E2m1, toolbox::Scaling::divide>(), fit, steps, encode,
                         decode};

}  // namespace halftone::nvfp4::HALFTONE_CPU_LEVEL
