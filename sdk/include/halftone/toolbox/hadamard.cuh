// The rotation (hadamard.hpp) for devices: the same additions in the same order, so the same bits.
#pragma once

#include <halftone/ext/draft/kernels.h>
#include <halftone/toolbox/hadamard.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {
namespace on_device {

// The steps over n numbers, a multiple of the group, by the threads of a block; at(i) is number i.
template <class At>
__device__ void hadamard_steps(uint64_t n, uint64_t group, At at) {
    for (uint64_t step = 1; step < group; step *= 4) {
        for (uint64_t k = threadIdx.x; k < n / 4; k += blockDim.x) {
            const uint64_t i = k / step * 4 * step + k % step;
            loops::hadamard_4(at(i), at(i + step), at(i + 2 * step), at(i + 3 * step));
        }
        __syncthreads();
    }
}

// Whole rows of args.in, in place. A block takes a piece of a row at a time: as many groups as its threads
// can keep at hand, or one group where that is larger.
__device__ inline void rotate_rows(const ht_kernel_args& args, uint64_t group) {
    constexpr uint64_t at_hand = 4 * HT_KERNEL_THREADS;
    __shared__ float numbers[at_hand];
    const uint64_t cols = args.region.cols, longest = group < at_hand ? at_hand / group * group : group;
    const uint64_t pieces = (cols + longest - 1) / longest;
    for (uint64_t work = blockIdx.x; work < args.region.rows * pieces; work += gridDim.x) {
        const uint64_t first = work % pieces * longest, n = cols - first < longest ? cols - first : longest;
        float* const row = args.in.at + static_cast<int64_t>(work / pieces) * args.in.row_stride;
        const auto stored = [&](uint64_t i) -> float& {
            return row[static_cast<int64_t>(first + i) * args.in.col_stride];
        };
        if (longest > at_hand) {
            hadamard_steps(n, group, stored);
            continue;
        }
        for (uint64_t i = threadIdx.x; i < n; i += blockDim.x)
            numbers[i] = stored(i);
        __syncthreads();
        hadamard_steps(n, group, [&](uint64_t i) -> float& { return numbers[i]; });
        for (uint64_t i = threadIdx.x; i < n; i += blockDim.x)
            stored(i) = numbers[i];
        __syncthreads();
    }
}

}  // namespace on_device
}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
