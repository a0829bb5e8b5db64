// The element headers on a device: compiled by the test nvcc_compiles_fp8_elements, run by nobody.

#include <halftone/toolbox/blocked_scales.hpp>
#include <halftone/toolbox/float4.hpp>
#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/fp4.hpp>
#include <halftone/toolbox/int8.hpp>
#include <halftone/toolbox/nf4.hpp>
#include <halftone/toolbox/nibbles.hpp>

using namespace halftone::toolbox;

template <class Element>
__global__ void snap(const float* x, float pre, float post, uint8_t* codes, float* values, float* lo,
                     float* hi, size_t n) {
    const size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
    if (i >= n) return;
    const uint8_t code = Element::encode(x[i] * pre);
    codes[i] = code;
    values[i] = Element::decode(code) * post;
    lo[i] = Element::decode(Element::below(code)) * post;
    hi[i] = Element::decode(Element::above(code)) * post;
}

template __global__ void snap<E4m3fn>(const float*, float, float, uint8_t*, float*, float*, float*, size_t);
template __global__ void snap<E5m2>(const float*, float, float, uint8_t*, float*, float*, float*, size_t);
template __global__ void snap<E2m1>(const float*, float, float, uint8_t*, float*, float*, float*, size_t);

__global__ void pack(const uint8_t* codes, uint8_t* packed, uint8_t* scales, BlockedScales layout, size_t n) {
    const size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
    if (i >= n) return;
    packed[i] = FirstHigh::pack(codes[2 * i], codes[2 * i + 1]);
    scales[layout.offset(i / layout.cols, i % layout.cols)] = FirstHigh::first(packed[i]);
}

// The same functions on the host side of the same file.
uint8_t on_the_host(float x) {
    return E4m3fn::encode(x);
}

template __global__ void snap<Nf4Comfy>(const float*, float, float, uint8_t*, float*, float*, float*, size_t);
template __global__ void snap<Nf4Bitsandbytes>(const float*, float, float, uint8_t*, float*, float*, float*,
                                               size_t);
template __global__ void snap<Fp4Comfy>(const float*, float, float, uint8_t*, float*, float*, float*, size_t);
template __global__ void snap<Fp4Bitsandbytes>(const float*, float, float, uint8_t*, float*, float*, float*,
                                               size_t);
template __global__ void snap<Int8>(const float*, float, float, uint8_t*, float*, float*, float*, size_t);

__global__ void around(const float* x, uint8_t* packed, float* lo, float* hi, size_t n) {
    const size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
    if (i >= n) return;
    Nf4Comfy::around(x[i], 2.0f, lo[i], hi[i]);
    const uint8_t code = Nf4Comfy::encode(x[i]);
    packed[i] = two_nibbles(code, nibble_at(code, i, Packing::high_nibble_first), Packing::low_nibble_first);
}
