// scale = "mse" of scalar formats on devices: the search of scale_search.hpp, with the sums of
// scalar_kernels.hpp in the order of the CPU, so that both find the same scales. Half a warp works on a
// group: it has as many threads as the CPU's sums have parts.
#pragma once

#include <halftone/toolbox/scalar_grid.cuh>
#include <halftone/toolbox/scalar_kernels.hpp>
#include <halftone/toolbox/scale_search.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {
namespace on_device {

// Blocks that have a scale of the matrix besides their own search in another way (block_kernels.cuh).
template <class Variant>
concept finds_scales = requires(float amax) {
    Variant::scale(amax);
};

// One of the two halves of a warp.
struct HalfWarp {
    static constexpr uint32_t threads = 16;
    static_assert(threads == loops::sum_parts);
    uint32_t lane = threadIdx.x % threads;
    uint32_t mask = 0xFFFFu << (threadIdx.x % 32 / threads * threads);

    __device__ static uint64_t index() {
        return (blockIdx.x * static_cast<uint64_t>(blockDim.x) + threadIdx.x) / threads;
    }
    __device__ static uint64_t count() { return gridDim.x * static_cast<uint64_t>(blockDim.x) / threads; }

    // As loops::sum_of adds up its parts; in every thread.
    __device__ float sum(float part) const {
        for (uint32_t half = threads / 2; half > 0; half /= 2)
            part += __shfl_down_sync(mask, part, half, threads);
        return __shfl_sync(mask, part, 0, threads);
    }
    __device__ float largest(float magnitude) const {
        uint32_t bits = bits_of(magnitude);
        for (uint32_t half = threads / 2; half > 0; half /= 2)
            bits = max(bits, __shfl_xor_sync(mask, bits, half, threads));
        return float_of(bits);
    }
};

// A group whose scale is looked for.
template <class Variant, Scaling scaling>
struct SearchedGroup {
    using Element = typename Variant::Element;
    const ht_kernel_args& args;
    HalfWarp half;
    GroupShape shape;
    uint64_t group;

    __device__ float largest() const {
        float most = 0;
        each_piece_of_group(shape, group, search_piece, [&](uint64_t row, uint64_t col, uint64_t n) {
            for (uint64_t i = half.lane; i < n; i += HalfWarp::threads)
                most = fmaxf(most, fabsf(at(args.in, row - args.region.row, col + i)));
        });
        return half.largest(most);
    }

    __device__ double error(Scale scale, float unit, double most) const {
        double sum = 0;
        each_piece_of_group(shape, group, search_piece, [&](uint64_t row, uint64_t col, uint64_t n) {
            if (!(sum < most)) return;
            const float* const weight = args.column_weight ? args.column_weight + col : nullptr;
            float part = 0;
            for (uint64_t i = half.lane; i < n; i += HalfWarp::threads) {
                const float x = at(args.in, row - args.region.row, col + i);
                part +=
                    weight
                        ? loops::error_of<Element, scaling, true>(x, weight + i, scale.pre, scale.post, unit)
                        : loops::error_of<Element, scaling, false>(x, nullptr, scale.pre, scale.post, unit);
            }
            sum += static_cast<double>(half.sum(part));
        });
        return sum;
    }

    __device__ Moments moments(Scale scale, float unit) const {
        Moments total;
        each_piece_of_group(shape, group, search_piece, [&](uint64_t row, uint64_t col, uint64_t n) {
            const float* const weight = args.column_weight ? args.column_weight + col : nullptr;
            float with_x = 0, square = 0;
            for (uint64_t i = half.lane; i < n; i += HalfWarp::threads) {
                const float x = at(args.in, row - args.region.row, col + i);
                const float level = rounded<Element>(scaled<scaling>(x, scale.pre));
                const float share = weight ? weight[i] * level : level;
                with_x += share * (x * unit);
                square += share * level;
            }
            total.with_x += static_cast<double>(half.sum(with_x));
            total.square += static_cast<double>(half.sum(square));
        });
        return total;
    }
};

template <class Variant, Scaling scaling>
__device__ void search_groups(const ht_kernel_args& args, const ScalarGrid& grid, uint64_t first,
                              uint64_t last) {
    for (uint64_t g = first + HalfWarp::index(); g <= last; g += HalfWarp::count()) {
        const SearchedGroup<Variant, scaling> group{args, {}, grid.shape(), g};
        const float amax = group.largest(), unit = error_unit(amax);
        const auto rule = [](float magnitude) { return Variant::scale(magnitude); };
        const Scale scale =
            amax > 0 ? search_scale(
                           amax, rule, [&](Scale one, double most) { return group.error(one, unit, most); },
                           [&](Scale one, float by) { return group.moments(one, by); })
                     : rule(amax);
        if (group.half.lane > 0) continue;
        grid.amax[g] = amax;
        grid.pre[g] = scale.pre;
        grid.post[g] = scale.post;
    }
}

// The errors of all candidates for the one scale of a matrix, row by row; of pass 1 and 2.
template <class Variant, Scaling scaling>
__device__ void search_rows(const ht_kernel_args& args, const ScalarGrid& grid) {
    const float amax = grid.amax[0], unit = error_unit(amax);
    if (amax == 0) return;
    const uint32_t candidates = args.pass == 1 ? search_candidates : search_fine_candidates;
    auto* const errors = static_cast<double*>(args.partials);
    for (uint64_t k = HalfWarp::index(); k < args.region.rows * candidates; k += HalfWarp::count()) {
        const uint64_t row = k / candidates;
        const auto candidate = static_cast<int>(k % candidates);
        const float magnitude = args.pass == 1 ? amax * search_factor(candidate)
                                               : grid.header.magnitude * search_fine_factor(candidate);
        const GroupShape rows{HT_SCALE_ROW, grid.header.rows, grid.header.cols, 1, grid.header.cols};
        const SearchedGroup<Variant, scaling> group{args, {}, rows, args.region.row + row};
        const double error = group.error(Variant::scale(magnitude), unit, no_limit);
        if (group.half.lane == 0) errors[row * search_candidates + candidate] = error;
    }
}

}  // namespace on_device
}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
