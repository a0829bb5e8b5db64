// The grid as memory: the codebook, a table of levels for every group scale, and what was fitted to each
// group.
#pragma once

#include <cstddef>
#include <cstdint>

#include <halftone/format.h>
#include <halftone/toolbox/device.hpp>

#include "codebook.hpp"

namespace halftone::asym_w4a8_int8 {

constexpr uint64_t element_bytes(ht_dtype dtype) {
    return dtype == HT_DTYPE_F32 ? 4 : 2;
}

// Element i of BF16, F16 or F32, exactly.
inline float stored_number(const uint8_t* bytes, uint64_t i, ht_dtype dtype) {
    if (dtype == HT_DTYPE_F32) {
        const uint8_t* const at = bytes + 4 * i;
        return toolbox::float_of(at[0] | static_cast<uint32_t>(at[1]) << 8 |
                                 static_cast<uint32_t>(at[2]) << 16 | static_cast<uint32_t>(at[3]) << 24);
    }
    const uint32_t half = bytes[2 * i] | static_cast<uint32_t>(bytes[2 * i + 1]) << 8;
    if (dtype == HT_DTYPE_BF16) return toolbox::float_of(half << 16);
    const uint32_t sign = (half & 0x8000) << 16, size = half & 0x7FFF;
    if (size >= 0x7C00) return toolbox::float_of(sign | 0x7F800000 | (size & 0x3FF) << 13);
    const float value = toolbox::float_of(size << 13) * toolbox::float_of(0x77800000);  // 2^112
    return toolbox::float_of(toolbox::bits_of(value) | sign);
}

// Offsets of the arrays; each starts on a 64-byte boundary.
struct GridLayout {
    uint64_t rows, cols, group;
    uint64_t bytes_of_a_correction;  // 0: there are none

    uint64_t groups_of_row() const { return cols / group; }
    uint64_t groups() const { return rows * groups_of_row(); }
    uint64_t correction_bytes() const { return groups() * bytes_of_a_correction; }

    Levels& book(std::byte* grid) const { return *reinterpret_cast<Levels*>(grid); }
    const Levels& book(const std::byte* grid) const { return *reinterpret_cast<const Levels*>(grid); }
    auto* level_table(auto* grid) const { return floats(grid, sizeof(Levels)); }
    auto* upper_table(auto* grid) const { return floats(grid, sizeof(Levels) + table_bytes); }
    auto* steps(auto* grid) const { return floats(grid, steps_at); }  // the scale of its row, for every group
    auto* scale_codes(auto* grid) const { return bytes_at(grid, steps_at + up(4 * groups())); }
    auto* corrections(auto* grid) const { return bytes_at(grid, steps_at + up(4 * groups()) + up(groups())); }
    uint64_t bytes() const { return steps_at + up(4 * groups()) + up(groups()) + up(correction_bytes()); }

  private:
    static constexpr uint64_t table_bytes = tables * 16 * sizeof(float);
    static constexpr uint64_t steps_at = sizeof(Levels) + 2 * table_bytes;
    static_assert(sizeof(Levels) % 64 == 0);

    static uint64_t up(uint64_t n) { return (n + 63) / 64 * 64; }
    static float* floats(std::byte* grid, uint64_t at) { return reinterpret_cast<float*>(grid + at); }
    static const float* floats(const std::byte* grid, uint64_t at) {
        return reinterpret_cast<const float*>(grid + at);
    }
    static uint8_t* bytes_at(std::byte* grid, uint64_t at) { return reinterpret_cast<uint8_t*>(grid + at); }
    static const uint8_t* bytes_at(const std::byte* grid, uint64_t at) {
        return reinterpret_cast<const uint8_t*>(grid + at);
    }
};

}  // namespace halftone::asym_w4a8_int8
