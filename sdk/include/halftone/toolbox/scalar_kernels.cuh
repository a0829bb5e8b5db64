// The kernels of a scalar format (scalar_format.hpp) for devices, made from the same elements as its loops
// for the CPU and giving the same bits. A file.cu of the format names its variants, in the order of
// ScalarFormat::Parts::variant:
//
//     struct E4m3fnVariant {
//         using Element = toolbox::E4m3fn;
//         HT_DEVICE static toolbox::Scale scale(float amax);   the rule of ScalarFormat, on both sides
//     };
//     HALFTONE_SCALAR_KERNELS(E4m3fnVariant, E5m2Variant)
//
// and, if it rotates, HALFTONE_SCALAR_ROTATION.
#pragma once

#include <halftone/ext/draft/kernels.h>
#include <halftone/toolbox/hadamard.cuh>
#include <halftone/toolbox/scalar_grid.cuh>
#include <halftone/toolbox/scale_search.cuh>

namespace halftone {
inline namespace v1 {
namespace toolbox {
namespace on_device {

// visit(i, j, group) for the elements of a region: a block takes whole rows.
template <class Visit>
__device__ void each_element(const ScalarGrid& grid, const ht_region& region, Visit visit) {
    for (uint64_t i = blockIdx.x; i < region.rows; i += gridDim.x) {
        const uint64_t base = grid.row_base(region.row + i);
        for (uint64_t j = threadIdx.x; j < region.cols; j += blockDim.x)
            visit(i, j, grid.group(base, region.col + j));
    }
}

template <class Variant>
__device__ void fit_pass(const ht_kernel_args& args) {
    __shared__ uint32_t of_warps[HT_KERNEL_THREADS / 32];
    const ScalarGrid grid(args.grid);
    if constexpr (finds_scales<Variant>)
        if (args.pass > 0)
            return grid.header.divide ? search_rows<Variant, Scaling::divide>(args, grid)
                                      : search_rows<Variant, Scaling::multiply>(args, grid);
    auto* const amax = static_cast<float*>(args.partials);
    const uint64_t slot = grid.header.search ? search_candidates * sizeof(double) / sizeof(float) : 1;
    for (uint64_t i = blockIdx.x; i < args.region.rows; i += gridDim.x) {
        uint32_t bits = 0;
        for (uint64_t j = threadIdx.x; j < args.region.cols; j += blockDim.x)
            bits = max(bits, bits_of(at(args.in, i, j)) & 0x7FFFFFFF);
        bits = warp_largest(bits);
        if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = bits;
        __syncthreads();
        if (threadIdx.x < 32) {
            bits = warp_largest(threadIdx.x < HT_KERNEL_THREADS / 32 ? of_warps[threadIdx.x] : 0);
            if (threadIdx.x == 0) amax[i * slot] = float_of(bits);
        }
        __syncthreads();
    }
}

// A warp takes a group.
template <class Variant>
__device__ void fit_band(const ht_kernel_args& args) {
    const ScalarGrid grid(args.grid);
    const ScalarGridHeader& h = grid.header;
    const ht_region& region = args.region;
    if (h.scale_kind == HT_SCALE_TENSOR || region.rows == 0) return;
    const uint64_t first = grid.group(grid.row_base(region.row), 0);
    const uint64_t last = grid.group(grid.row_base(region.row + region.rows - 1), h.cols - 1);
    if (h.search)
        return h.divide ? search_groups<Variant, Scaling::divide>(args, grid, first, last)
                        : search_groups<Variant, Scaling::multiply>(args, grid, first, last);
    const uint64_t warps = gridDim.x * static_cast<uint64_t>(blockDim.x) / 32;
    const uint32_t lane = threadIdx.x % 32;
    for (uint64_t g = first + (blockIdx.x * static_cast<uint64_t>(blockDim.x) + threadIdx.x) / 32; g <= last;
         g += warps) {
        uint32_t bits = 0;
        if (h.scale_kind == HT_SCALE_RUN) {
            const uint64_t begin = g * h.group_cols, whole = h.rows * h.cols;
            const uint64_t end = begin + h.group_cols < whole ? begin + h.group_cols : whole;
            for (uint64_t place = begin + lane; place < end; place += 32)
                bits =
                    max(bits, bits_of(at(args.in, place / h.cols - region.row, place % h.cols)) & 0x7FFFFFFF);
        } else {
            const uint64_t across = grid.across(), row = g / across * h.group_rows,
                           col = g % across * h.group_cols;
            const uint64_t row_end = row + h.group_rows < h.rows ? row + h.group_rows : h.rows;
            const uint64_t col_end = col + h.group_cols < h.cols ? col + h.group_cols : h.cols;
            for (uint64_t i = row; i < row_end; ++i)
                for (uint64_t j = col + lane; j < col_end; j += 32)
                    bits = max(bits, bits_of(at(args.in, i - region.row, j)) & 0x7FFFFFFF);
        }
        bits = warp_largest(bits);
        if (lane > 0) continue;
        const Scale scale = Variant::scale(float_of(bits));
        grid.amax[g] = float_of(bits);
        grid.pre[g] = scale.pre;
        grid.post[g] = scale.post;
    }
}

// The code of element (i, j) of a region.
template <class Variant>
__device__ uint8_t code_of(const ScalarGrid& grid, const ht_kernel_args& args, uint64_t i, uint64_t j,
                           uint64_t group) {
    const float pre = grid.pre[group];
    const float t = pre == grid.to_zero() ? 0.0f : grid.scaled(at(args.in, i, j), pre);
    return static_cast<uint8_t>(Variant::Element::encode(t));
}

// Where two codes share a byte, a thread makes it: neighbours in the flattened band, which may cross rows.
template <class Variant>
__device__ void encode_nibbles(const ScalarGrid& grid, const ht_kernel_args& args) {
    const uint64_t cols = grid.stored_cols(), n = grid.stored_rows(args.region) * cols;
    const uint64_t step = gridDim.x * static_cast<uint64_t>(blockDim.x);
    for (uint64_t byte = blockIdx.x * static_cast<uint64_t>(blockDim.x) + threadIdx.x; 2 * byte < n;
         byte += step) {
        uint64_t i = 2 * byte / cols, j = 2 * byte - i * cols;
        const auto zero = static_cast<uint8_t>(Variant::Element::encode(0.0f));
        uint8_t codes[2] = {zero, zero};
        for (uint32_t k = 0; k < 2; ++k) {
            if (i < args.region.rows && j < args.region.cols)
                codes[k] =
                    code_of<Variant>(grid, args, i, j, grid.group(grid.row_base(args.region.row + i), j));
            if (++j == cols) {
                j = 0;
                ++i;
            }
        }
        args.band[byte] = two_nibbles(codes[0], codes[1], grid.header.packing);
    }
}

template <class Variant>
__device__ void encode(const ht_kernel_args& args) {
    const ScalarGrid grid(args.grid);
    if (grid.header.packing != Packing::bytes) return encode_nibbles<Variant>(grid, args);
    const uint64_t cols = grid.stored_cols(), rows = grid.stored_rows(args.region);
    for (uint64_t i = blockIdx.x; i < rows; i += gridDim.x) {
        const uint64_t base = grid.row_base(args.region.row + i);
        for (uint64_t j = threadIdx.x; j < cols; j += blockDim.x)
            args.band[i * cols + j] = i < args.region.rows && j < args.region.cols
                                          ? code_of<Variant>(grid, args, i, j, grid.group(base, j))
                                          : static_cast<uint8_t>(Variant::Element::encode(0.0f));
    }
}

template <class Variant>
__device__ void decode(const ht_kernel_args& args) {
    using Element = typename Variant::Element;
    const ScalarGrid grid(args.grid);
    const Packing packing = grid.header.packing;
    const uint64_t cols = grid.stored_cols();
    each_element(grid, args.region, [&](uint64_t i, uint64_t j, uint64_t group) {
        const uint64_t place = i * cols + j;
        const uint8_t code =
            packing == Packing::bytes ? args.band[place] : nibble_at(args.band[place / 2], place, packing);
        at(args.out, i, j) = Element::decode(static_cast<typename Element::Code>(code)) * grid.post[group];
    });
}

template <class Variant>
__device__ void snap(const ht_kernel_args& args) {
    using Element = typename Variant::Element;
    const ScalarGrid grid(args.grid);
    each_element(grid, args.region, [&](uint64_t i, uint64_t j, uint64_t group) {
        const float pre = grid.pre[group], x = at(args.in, i, j);
        const float level =
            pre == grid.to_zero() ? 0.0f : Element::decode(Element::encode(grid.scaled(x, pre)));
        at(args.out, i, j) = level * grid.post[group];
    });
}

template <class Variant>
__device__ void sigma(const ht_kernel_args& args) {
    const ScalarGrid grid(args.grid);
    each_element(grid, args.region, [&](uint64_t i, uint64_t j, uint64_t group) {
        const float post = fabsf(grid.post[group]);
        at(args.out, i, j) = grid.pre[group] == grid.to_zero() || !(post > 0) ? 1.0f : post;
    });
}

template <class Variant>
__device__ void around(const ht_kernel_args& args) {
    using Element = typename Variant::Element;
    const ScalarGrid grid(args.grid);
    each_element(grid, args.region, [&](uint64_t i, uint64_t j, uint64_t group) {
        const float pre = grid.pre[group], post = grid.post[group], x = at(args.in, i, j);
        float lo = 0, hi = 0;
        if (pre == grid.to_zero()) {
        } else if constexpr (requires { Element::around(x, post, lo, hi); }) {
            Element::around(x, post, lo, hi);
        } else {
            const auto code = Element::encode(grid.scaled(x, pre));
            const float nearest = Element::decode(code) * post;
            lo = nearest <= x ? nearest : Element::decode(Element::below(code)) * post;
            hi = nearest >= x ? nearest : Element::decode(Element::above(code)) * post;
        }
        at(args.out, i, j) = lo;
        at(args.out_2, i, j) = hi;
    });
}

// work.template operator()<Variant>() for the variant that the grid names.
template <class First, class... Rest, class Work>
__device__ void for_variant(uint32_t variant, Work work) {
    if constexpr (sizeof...(Rest) == 0) {
        work.template operator()<First>();
    } else {
        if (variant == 0)
            work.template operator()<First>();
        else
            for_variant<Rest...>(variant - 1, work);
    }
}

}  // namespace on_device
}  // namespace toolbox
}  // namespace v1
}  // namespace halftone

#define HALFTONE_SCALAR_KERNEL(name, ...)                                                              \
    extern "C" __global__ void name(ht_kernel_args args) {                                             \
        namespace on_device = halftone::toolbox::on_device;                                            \
        const auto& header = *static_cast<const halftone::toolbox::ScalarGridHeader*>(args.grid);      \
        on_device::for_variant<__VA_ARGS__>(header.variant,                                            \
                                            [&]<class Variant>() { on_device::name<Variant>(args); }); \
    }
#define HALFTONE_SCALAR_KERNELS(...)              \
    HALFTONE_SCALAR_KERNEL(fit_band, __VA_ARGS__) \
    HALFTONE_SCALAR_KERNELS_BUT_FIT_BAND(__VA_ARGS__)
#define HALFTONE_SCALAR_KERNELS_BUT_FIT_BAND(...) \
    HALFTONE_SCALAR_KERNEL(fit_pass, __VA_ARGS__) \
    HALFTONE_SCALAR_KERNEL(encode, __VA_ARGS__)   \
    HALFTONE_SCALAR_KERNEL(decode, __VA_ARGS__)   \
    HALFTONE_SCALAR_KERNEL(snap, __VA_ARGS__)     \
    HALFTONE_SCALAR_KERNEL(sigma, __VA_ARGS__)    \
    HALFTONE_SCALAR_KERNEL(around, __VA_ARGS__)
#define HALFTONE_SCALAR_ROTATION                                                                  \
    extern "C" __global__ void rotate(ht_kernel_args args) {                                      \
        const auto& header = *static_cast<const halftone::toolbox::ScalarGridHeader*>(args.grid); \
        halftone::toolbox::on_device::rotate_rows(args, uint64_t{1} << 2 * header.rotation);      \
    }
