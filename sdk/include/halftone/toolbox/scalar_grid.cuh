// The grid of a scalar format on a device, for its kernels (scalar_kernels.cuh).
#pragma once

#include <halftone/ext/draft/kernels.h>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {
namespace on_device {

// The grid's parts, and where a row's elements find their scale.
struct ScalarGrid {
    const ScalarGridHeader& header;
    float *pre, *post, *amax;

    __device__ explicit ScalarGrid(void* grid)
        : header(*static_cast<const ScalarGridHeader*>(grid)),
          pre(part(grid, 2)),
          post(part(grid, 3)),
          amax(part(grid, 4)) {}

    __device__ float* part(void* grid, uint32_t array) const {
        return reinterpret_cast<float*>(static_cast<char*>(grid) +
                                        scalar_grid_offset(header.levels, header.groups, array));
    }
    __device__ uint64_t across() const { return (header.cols + header.group_cols - 1) / header.group_cols; }
    // With the padding of what is stored.
    __device__ uint64_t stored_cols() const {
        return header.padded ? across() * header.group_cols : header.cols;
    }
    __device__ uint64_t stored_rows(const ht_region& region) const {
        const uint64_t end = region.row + region.rows, to = header.group_cols;
        return header.padded && end == header.rows ? (end + to - 1) / to * to - region.row : region.rows;
    }
    __device__ GroupShape shape() const {
        return {header.scale_kind, header.rows, header.cols, header.group_rows, header.group_cols};
    }
    __device__ float to_zero() const { return header.divide ? __int_as_float(0x7F800000) : 0.0f; }
    __device__ float scaled(float x, float by) const { return header.divide ? x / by : x * by; }

    // Of the first element of a row; others of the row with group().
    __device__ uint64_t row_base(uint64_t row) const {
        switch (header.scale_kind) {
            case HT_SCALE_ROW:
                return row;
            case HT_SCALE_TILE:
                return row / header.group_rows * across();
            case HT_SCALE_RUN:
                return row * header.cols;
            default:
                return 0;
        }
    }
    __device__ uint64_t group(uint64_t base, uint64_t col) const {
        if (header.scale_kind == HT_SCALE_TILE)
            return base + static_cast<uint32_t>(col) / static_cast<uint32_t>(header.group_cols);
        if (header.scale_kind == HT_SCALE_RUN) {
            const uint64_t place = base + col;
            return place <= UINT32_MAX
                       ? static_cast<uint32_t>(place) / static_cast<uint32_t>(header.group_cols)
                       : place / header.group_cols;
        }
        return base;
    }
};

__device__ inline float& at(const ht_view& view, uint64_t i, uint64_t j) {
    return view.at[static_cast<int64_t>(i) * view.row_stride + static_cast<int64_t>(j) * view.col_stride];
}

// Non-negative floats are ordered as their bits are; the greatest of a warp, in every thread of it.
__device__ inline uint32_t warp_largest(uint32_t bits) {
    for (int half = 16; half > 0; half /= 2)
        bits = max(bits, __shfl_xor_sync(0xFFFFFFFF, bits, half));
    return bits;
}

}  // namespace on_device
}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
