// The kernels of padded blocks (padded_blocks.hpp) for devices, made from the same functions as their loops
// for the CPU and giving the same bits, searches included. A file.cu of the format names its blocks
// (block_kernels.hpp):
//
//     HALFTONE_BLOCK_KERNELS(halftone::nvfp4::Blocks)
#pragma once

#include <halftone/toolbox/block_kernels.hpp>
#include <halftone/toolbox/scalar_kernels.cuh>

namespace halftone {
inline namespace v1 {
namespace toolbox {
namespace on_device {

// A warp takes a block and a thread a candidate, whose errors it adds up in the order of the elements.
template <class Blocks>
__device__ void fit_blocks(const ht_kernel_args& args) {
    static_assert(Blocks::length <= 32 && Blocks::candidates <= 32);
    const ScalarGrid grid(args.grid);
    const ScalarGridHeader& h = grid.header;
    const ht_region& region = args.region;
    BlockScales& scales = *reinterpret_cast<BlockScales*>(grid.part(args.grid, 5));
    const uint64_t across = grid.across(), first = region.row * across;
    const uint64_t end = first + region.rows * across;
    const uint64_t warps = gridDim.x * static_cast<uint64_t>(blockDim.x) / 32;
    const uint32_t lane = threadIdx.x % 32;
    for (uint64_t g = first + (blockIdx.x * static_cast<uint64_t>(blockDim.x) + threadIdx.x) / 32; g < end;
         g += warps) {
        const uint64_t row = g / across, col = g % across * Blocks::length;
        const uint64_t left = h.cols - col;
        const auto n = static_cast<uint32_t>(left < Blocks::length ? left : Blocks::length);
        const float x = lane < n ? at(args.in, row - region.row, col + lane) : 0.0f;
        const float amax = float_of(warp_largest(bits_of(x) & 0x7FFFFFFF));
        uint8_t scale = Blocks::scale(amax, scales.of_all);
        if (scales.search && amax > 0) {
            const uint32_t c = lane % Blocks::candidates;
            const float unit = error_unit(amax);
            const Scale step = Blocks::step(candidate_scale<Blocks>(scale, c), scales.of_all);
            const float* const weight = args.column_weight ? args.column_weight + col : nullptr;
            float error = 0;
            for (uint32_t k = 0; k < n; ++k)
                error += candidate_error<Blocks>(__shfl_sync(0xFFFFFFFF, x, k), weight ? weight + k : nullptr,
                                                 step.pre, step.post * unit, unit);
            int32_t least = signed_error<Blocks>(error, c);
            for (int half = 16; half > 0; half /= 2)
                least = min(least, __shfl_xor_sync(0xFFFFFFFF, least, half));
            scale = candidate_scale<Blocks>(scale, static_cast<uint32_t>(least) % Blocks::candidates);
        }
        if (lane > 0) continue;
        const Scale step = Blocks::step(scale, scales.of_all);
        scales.of_block()[g] = scale;
        grid.pre[g] = step.pre;
        grid.post[g] = step.post;
    }
}

}  // namespace on_device
}  // namespace toolbox
}  // namespace v1
}  // namespace halftone

#define HALFTONE_BLOCK_KERNELS(Blocks)                          \
    HALFTONE_SCALAR_KERNELS_BUT_FIT_BAND(Blocks)                \
    extern "C" __global__ void fit_band(ht_kernel_args args) {  \
        halftone::toolbox::on_device::fit_blocks<Blocks>(args); \
    }
