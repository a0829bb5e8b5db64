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

// The block's sum, in a fixed tree; for thread 0.
__device__ double block_sum(double own) {
    __shared__ double sums[HT_KERNEL_THREADS];
    sums[threadIdx.x] = own;
    __syncthreads();
    for (uint32_t half = HT_KERNEL_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    const double sum = sums[0];
    __syncthreads();
    return sum;
}

__device__ double judged(const ht_judge_args& args, const double* scores) {
    if (scores[0] > args.cap * args.nearest[0]) return INFINITY;
    double sum = 0, weights = 0;
    for (uint32_t i = 0; i < args.n_terms; ++i) {
        const double least = args.nearest[1 + i], now = scores[1 + i];
        if (args.weights[i] == 0) continue;
        weights += args.weights[i];
        if (least > 0)
            sum += args.weights[i] * (now / least);
        else if (now > 0)
            return INFINITY;
    }
    return weights > 0 ? sum / weights : 0;
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

__global__ void error(ht_error_args args) {
    double squares = 0, different = 0;
    for (uint64_t i = first(); i < args.n; i += step()) {
        const float value = args.value[i], e = args.weights ? value - args.weights[i] : value;
        if (args.nearest && value != args.nearest[i]) ++different;
        squares += static_cast<double>(e) * e;
        if (args.error) args.error[i] = e;
    }
    const double sum = block_sum(squares);
    if (threadIdx.x == 0) args.partials[blockIdx.x] = sum;
    if (!args.nearest) return;
    const double count = block_sum(different);
    if (threadIdx.x == 0) args.partials[gridDim.x + blockIdx.x] = count;
}

__global__ void fold(ht_fold_args args) {
    double own = 0;
    for (uint64_t i = threadIdx.x; i < args.n; i += blockDim.x)
        own += args.from[i * args.step];
    const double sum = block_sum(own);
    if (threadIdx.x == 0) *args.to = (args.add ? *args.to : 0) + sum;
}

__global__ void steps(ht_steps_args args) {
    for (uint64_t i = first(); i < args.n; i += step())
        args.value[i] = args.nearest[i] + args.x[i] * args.sigma[i];
}

__global__ void scale_add(ht_scale_add_args args) {
    const auto alpha = static_cast<float>(*args.alpha), beta = static_cast<float>(*args.beta);
    for (uint64_t i = first(); i < args.n; i += step())
        args.to[i] = alpha * args.from[i] + (beta == 0 ? 0 : beta * args.to[i]);
}

__global__ void judge(ht_judge_args args) {
    if (threadIdx.x > 0) return;
    const bool better = judged(args, args.scores) < judged(args, args.best);
    *args.kept = better;
    if (!better) return;
    *args.improved = 1;
    *args.best_generation = args.generation;
    for (uint32_t i = 0; i <= args.n_terms; ++i)
        args.best[i] = args.scores[i];
}

__global__ void keep(ht_keep_args args) {
    if (*args.flag == 0) return;
    for (uint64_t i = first(); i < args.n; i += step())
        args.to[i] = args.from[i];
}

}  // extern "C"
