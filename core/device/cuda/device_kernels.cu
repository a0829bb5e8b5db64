// The kernels that every host needs of a device, by the names of halftone/ext/draft/kernels.h.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <halftone/ext/draft/kernels.h>

namespace {

__device__ uint64_t first() {
    return blockIdx.x * static_cast<uint64_t>(blockDim.x) + threadIdx.x;
}
__device__ uint64_t step() {
    return gridDim.x * static_cast<uint64_t>(blockDim.x);
}

template <class Widened>
__device__ void widen_each(const ht_widen_args& args, Widened value) {
    uint64_t odd = 0;
    for (uint64_t i = first(); i < args.n; i += step()) {
        const float x = value(i);
        odd += (__float_as_uint(x) & 0x7F800000) == 0x7F800000;
        args.to[i] = x;
    }
    if (odd)
        atomicAdd(reinterpret_cast<unsigned long long*>(args.nonfinite),
                  static_cast<unsigned long long>(odd));
}

__device__ uint64_t up(uint64_t a, uint64_t b) {
    return (a + b - 1) / b;
}

}  // namespace

extern "C" {

__global__ void widen(ht_widen_args args) {
    if (args.dtype == HT_DTYPE_BF16)
        widen_each(args, [&](uint64_t i) {
            return __uint_as_float(static_cast<uint32_t>(static_cast<const uint16_t*>(args.from)[i]) << 16);
        });
    else if (args.dtype == HT_DTYPE_F16)
        widen_each(args, [&](uint64_t i) { return __half2float(static_cast<const __half*>(args.from)[i]); });
    else
        widen_each(args, [&](uint64_t i) { return static_cast<const float*>(args.from)[i]; });
}

__global__ void table_snap(ht_table_args args) {
    const ht_table& table = args.table;
    const uint64_t across = args.scale_cols ? up(args.cols, args.scale_cols) : 1;
    for (uint64_t i = blockIdx.x; i < args.region.rows; i += gridDim.x)
        for (uint64_t j = threadIdx.x; j < args.region.cols; j += blockDim.x) {
            const uint64_t row = args.region.row + i, col = args.region.col + j;
            uint64_t group = 0;
            switch (args.scale_kind) {
                case HT_SCALE_ROW:
                    group = row;
                    break;
                case HT_SCALE_TILE:
                    group = row / args.scale_rows * across + col / args.scale_cols;
                    break;
                case HT_SCALE_RUN:
                    group = (row * args.cols + col) / args.scale_cols;
                    break;
            }
            const float x = args.in.at[static_cast<int64_t>(i) * args.in.row_stride +
                                       static_cast<int64_t>(j) * args.in.col_stride];
            const float t = table.divide ? x / table.pre[group] : x * table.pre[group];
            const uint32_t set = table.table_of ? table.table_of[group] * table.levels : 0;
            uint32_t low = 0, high = table.levels - 1;  // the first i with t <= upper[i], else the last
            while (low < high) {
                const uint32_t middle = (low + high) / 2;
                if (t <= table.upper[set + middle])
                    high = middle;
                else
                    low = middle + 1;
            }
            args.out.at[static_cast<int64_t>(i) * args.out.row_stride +
                        static_cast<int64_t>(j) * args.out.col_stride] =
                table.level[set + low] * table.post[group];
        }
}

}  // extern "C"
