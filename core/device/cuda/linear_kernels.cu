// The arithmetic between the calls to cuBLAS and cuSOLVER.

#include <cuda_bf16.h>

#include "linear_args.hpp"

using namespace halftone::cuda;

namespace {

__device__ uint64_t first() {
    return blockIdx.x * static_cast<uint64_t>(blockDim.x) + threadIdx.x;
}
__device__ uint64_t step() {
    return gridDim.x * static_cast<uint64_t>(blockDim.x);
}

// Philox 4x32-10, as the host's services have it.
__device__ uint4 philox(uint64_t seed, uint64_t stream, uint64_t block) {
    uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    uint4 c = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
               static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
    for (int round = 0; round < 10; ++round) {
        const uint32_t high_0 = __umulhi(0xD2511F53u, c.x), low_0 = 0xD2511F53u * c.x;
        const uint32_t high_1 = __umulhi(0xCD9E8D57u, c.z), low_1 = 0xCD9E8D57u * c.z;
        c = {high_1 ^ c.y ^ key[0], low_1, high_0 ^ c.w ^ key[1], low_0};
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return c;
}

}  // namespace

extern "C" {

__global__ void numbers(NumbersArgs args) {
    if (first() > 0) return;
    args.out[0] = static_cast<float>(*args.alpha);
    args.out[1] = static_cast<float>(*args.beta);
}

__global__ void gaussian(GaussianArgs args) {
    const uint64_t pairs = (args.cols + 1) / 2;
    for (uint64_t i = first(); i < args.rows * pairs; i += step()) {
        const uint64_t row = i / pairs, pair = i % pairs;
        const uint4 words = philox(args.seed, row, pair / 2);
        const uint32_t a = pair % 2 ? words.z : words.x, b = pair % 2 ? words.w : words.y;
        const double length = sqrt(-2 * log((a + 0.5) * 0x1p-32)), turn = 2 * (b * 0x1p-32);
        args.out[row * args.cols + 2 * pair] = static_cast<float>(length * cospi(turn));
        if (2 * pair + 1 < args.cols)
            args.out[row * args.cols + 2 * pair + 1] = static_cast<float>(length * sinpi(turn));
    }
}

__global__ void to_double(ToDoubleArgs args) {
    for (uint64_t i = first(); i < args.n; i += step())
        args.to[i] = args.from[i];
}

__global__ void to_float(ToFloatArgs args) {
    for (uint64_t i = first(); i < args.n; i += step())
        args.to[i] = static_cast<float>(args.from[i]);
}

__global__ void shift(ShiftArgs args) {  // by one block
    __shared__ double sums[256];
    double sum = 0;
    for (uint64_t i = threadIdx.x; i < args.n; i += blockDim.x)
        sum += args.a[i * args.n + i];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    const double shift = args.share * sums[0];
    for (uint64_t i = threadIdx.x; i < args.n; i += blockDim.x)
        args.a[i * args.n + i] += shift;
}

__global__ void identity(ShiftArgs args) {
    for (uint64_t i = first(); i < args.n * args.n; i += step())
        args.identity[i] = i / args.n == i % args.n ? 1 : 0;
}

__global__ void lower(LowerArgs args) {
    for (uint64_t i = first(); i < args.n * args.n; i += step()) {
        const uint64_t row = i / args.n, col = i % args.n;
        args.to[i] = col <= row ? static_cast<float>(args.from[col * args.n + row]) : 0;
    }
}

__global__ void status(StatusArgs args) {
    if (first() == 0 && *args.info != 0) *args.status = 1;
}

__global__ void leading(LeadingArgs args) {
    for (uint64_t i = first(); i < args.rank * args.n; i += step()) {
        const uint64_t from = args.n - 1 - i / args.n;
        args.leading[i] = static_cast<float>(args.vectors[from * args.n + i % args.n]);
        if (i % args.n == 0)
            args.values[i / args.n] = static_cast<float>(sqrt(fmax(args.squares[from], 0.0)));
    }
}

__global__ void divide(DivideArgs args) {
    for (uint64_t i = first(); i < args.rows * args.cols; i += step()) {
        const float value = args.values[i % args.cols];
        if (value > 0) args.at[i] /= value;
    }
}

// Tiles of 32 x 32 through shared memory, so that both sides are read and written along rows.
__global__ void split(SplitArgs args) {
    __shared__ float tile[32][33];
    const uint64_t across = args.padded / 32, count = (args.rows + 31) / 32 * across;
    const uint32_t x = threadIdx.x % 32, y = threadIdx.x / 32;
    for (uint64_t t = blockIdx.x; t < count; t += gridDim.x) {
        const uint64_t row = t / across * 32, col = t % across * 32;
        for (uint32_t k = y; k < 32; k += 8) {
            const uint64_t i = args.transpose ? row + x : row + k, j = args.transpose ? col + k : col + x;
            const uint64_t place = args.transpose ? j * args.stride + i : i * args.stride + j;
            tile[k][x] = i < args.rows && j < args.inner ? args.x[place] : 0;
        }
        __syncthreads();
        for (uint32_t k = y; k < 32; k += 8) {
            if (row + k >= args.rows) continue;
            const float value = args.transpose ? tile[x][k] : tile[k][x];
            const __nv_bfloat16 high = __float2bfloat16_rn(value);
            const __nv_bfloat16 low = __float2bfloat16_rn(value - __bfloat162float(high));
            const uint16_t high_bits = __bfloat16_as_ushort(high), low_bits = __bfloat16_as_ushort(low);
            uint16_t* const out = args.out + (row + k) * 3 * args.padded + col + x;
            out[0] = high_bits;
            out[args.padded] = args.second_is_low ? low_bits : high_bits;
            out[2 * args.padded] = args.second_is_low ? high_bits : low_bits;
        }
        __syncthreads();
    }
}

}  // extern "C"
