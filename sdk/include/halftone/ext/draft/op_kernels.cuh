// DRAFT: what kernels of an optimizer's operations are written with. Beside the ABI, not part of it.
#pragma once

#include <halftone/ext/draft/kernels.h>

namespace halftone {
inline namespace v1 {
namespace on_device {

// The numbers of apply(), in its order.
template <int N>
struct Numbers {
    double at[N];

    __device__ explicit Numbers(const ht_op_args& args) {
        for (int i = 0; i < N; ++i)
            at[i] = *args.nums[i];
    }
    __device__ void write(const ht_op_args& args) const {
        for (int i = 0; i < N; ++i)
            *args.nums[i] = at[i];
    }
};

// work(i, j, k) for every element: row, column, and place in the dense arrays. A block takes whole rows.
template <class Work>
__device__ void each_element(const ht_op_args& args, Work work) {
    for (uint64_t i = blockIdx.x; i < args.rows; i += gridDim.x)
        for (uint64_t j = threadIdx.x; j < args.cols; j += blockDim.x)
            work(i, j, i * args.cols + j);
}

__device__ inline float& mat(const ht_op_args& args, int which, uint64_t i, uint64_t j) {
    return args.mats[which][static_cast<int64_t>(i) * args.strides[which] + static_cast<int64_t>(j)];
}

}  // namespace on_device
}  // namespace v1
}  // namespace halftone
