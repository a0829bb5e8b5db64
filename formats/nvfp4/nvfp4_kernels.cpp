#include "nvfp4_kernels.hpp"

#include <halftone/toolbox/float4.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>

namespace halftone::nvfp4::HALFTONE_CPU_LEVEL {

namespace {

using toolbox::E2m1;
using toolbox::E4m3fn;
using Pair = toolbox::FirstHigh;

constexpr float infinity = __builtin_inff();

// visit(i, n, g): elements i to i + n lie in block g. Inlined, so that `n` is a constant for whole blocks.
template <class Visit>
HT_DEVICE void each_block(size_t first, size_t n, const Visit& visit) {
    size_t i = 0, g = 0;
    if (first > 0) {
        i = n < block - first ? n : block - first;
        visit(0, i, g++);
    }
    for (; i + block <= n; i += block)
        visit(i, block, g++);
    if (i < n) visit(i, n - i, g);
}
#define EACH [&](size_t i, size_t count, size_t g) __attribute__((always_inline))

HT_DEVICE float snapped(float x, float pre, float post) {
    return E2m1::decode(E2m1::encode(x / pre)) * post;
}

HT_DEVICE float step(uint8_t scale, float tensor_scale) {
    return tensor_scale * E4m3fn::decode(scale);
}
HT_DEVICE float divisor(float step) {
    return step > 0 ? step : infinity;
}

// Codes 8 below the plain one to 1 above it; of equal errors the one of the larger scale.
constexpr int below_plain = 8, above_plain = 1, candidates = below_plain + above_plain + 1;

uint8_t searched(const float* x, size_t n, float tensor_scale, const float* weight, uint8_t plain) {
    uint8_t code[candidates];
    float pre[candidates], post[candidates];
    double error[candidates];
    for (int c = 0; c < candidates; ++c) {
        const int at = plain + above_plain - c;
        code[c] = static_cast<uint8_t>(at < 0 ? 0 : at > 0x7E ? 0x7E : at);
        post[c] = step(code[c], tensor_scale);
        pre[c] = divisor(post[c]);
        error[c] = 0;
    }
    for (size_t i = 0; i < n; ++i) {
        const double by = weight ? static_cast<double>(weight[i]) : 1.0;
        for (int c = 0; c < candidates; ++c) {
            const double off =
                static_cast<double>(snapped(x[i], pre[c], post[c])) - static_cast<double>(x[i]);
            error[c] += by * (off * off);
        }
    }
    int best = 0;
    for (int c = 1; c < candidates; ++c)
        if (error[c] < error[best]) best = c;
    return code[best];
}

void fit(const float* x, size_t n, float tensor_scale, bool search, const float* column_weight,
         uint8_t* scales, float* pre, float* post) {
    each_block(
        0, n, EACH {
            const float amax = toolbox::loops::largest<E2m1>(x + i, count);
            scales[g] = E4m3fn::encode(amax / 6 / tensor_scale);
            if (search && amax > 0)
                scales[g] = searched(x + i, count, tensor_scale, column_weight ? column_weight + i : nullptr,
                                     scales[g]);
            post[g] = step(scales[g], tensor_scale);
            pre[g] = divisor(post[g]);
        });
}

void steps(const uint8_t* scales, size_t n, float tensor_scale, float* pre, float* post) {
    for (size_t g = 0; g < n; ++g) {
        post[g] = step(scales[g], tensor_scale);
        pre[g] = divisor(post[g]);
    }
}

void encode(const float* x, size_t n, const float* pre, uint8_t* packed) {
    each_block(
        0, n, EACH {
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
        0, n, EACH {
            uint8_t codes[block];
            for (size_t k = 0; k < block / 2; ++k) {
                codes[2 * k] = Pair::first(packed[i / 2 + k]);
                codes[2 * k + 1] = Pair::second(packed[i / 2 + k]);
            }
            for (size_t k = 0; k < count; ++k)
                values[i + k] = E2m1::decode(codes[k]) * post[g];
        });
}

void snap(const float* x, size_t first, size_t n, const float* pre, const float* post, float* values) {
    each_block(
        first, n, EACH {
            if (pre[g] == infinity)
                for (size_t k = i; k < i + count; ++k)
                    values[k] = 0;
            else
                HT_INDEPENDENT
            for (size_t k = i; k < i + count; ++k)
                values[k] = snapped(x[k], pre[g], post[g]);
        });
}

void around(const float* x, size_t first, size_t n, const float* pre, const float* post, float* lo,
            float* hi) {
    each_block(
        first, n, EACH {
            HT_INDEPENDENT
            for (size_t k = i; k < i + count; ++k) {
                const float at = x[k];
                const uint8_t code = E2m1::encode(at / pre[g]);
                const float nearest = E2m1::decode(code) * post[g];
                const float less = E2m1::decode(E2m1::below(code)) * post[g];
                const float more = E2m1::decode(E2m1::above(code)) * post[g];
                lo[k] = nearest <= at ? nearest : less;
                hi[k] = nearest >= at ? nearest : more;
            }
        });
}
#undef EACH

}  // namespace

const Kernels kernels = {toolbox::loops::largest<E2m1>, fit, steps, encode, decode, snap, around};

}  // namespace halftone::nvfp4::HALFTONE_CPU_LEVEL
