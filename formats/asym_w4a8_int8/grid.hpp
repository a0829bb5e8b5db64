// The grid as memory, which devices get as it is: how it is laid out, the codebook, a table of levels for
// every group scale, what was fitted to each group, and which numbers the choice of the codebook looks at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <halftone/format.h>
#include <halftone/toolbox/device.hpp>
#include <halftone/toolbox/float16.hpp>

#include "codebook.hpp"
#include "sampled.hpp"

namespace halftone::asym_w4a8_int8 {

constexpr uint64_t element_bytes(ht_dtype dtype) {
    return dtype == HT_DTYPE_F32 ? 4 : 2;
}

// Element i of BF16, F16 or F32, exactly.
HT_DEVICE float stored_number(const uint8_t* bytes, uint64_t i, ht_dtype dtype) {
    if (dtype == HT_DTYPE_F32) {
        const uint8_t* const at = bytes + 4 * i;
        return toolbox::float_of(at[0] | static_cast<uint32_t>(at[1]) << 8 |
                                 static_cast<uint32_t>(at[2]) << 16 | static_cast<uint32_t>(at[3]) << 24);
    }
    const auto half = static_cast<uint16_t>(bytes[2 * i] | bytes[2 * i + 1] << 8);
    return dtype == HT_DTYPE_BF16 ? toolbox::bf16_value(half) : toolbox::f16_value(half);
}

// An array in it, constant like the grid itself.
template <class T, class Byte>
HT_DEVICE auto* array(Byte* grid, uint64_t at) {
    return reinterpret_cast<std::conditional_t<std::is_const_v<Byte>, const T, T>*>(grid + at);
}

// Stands at the front of the grid. Each array starts on a 64-byte boundary.
struct GridLayout {
    uint64_t rows, cols, group;
    uint64_t rotation;               // columns that are rotated together
    uint64_t bytes_of_a_correction;  // 0: there are none
    ht_dtype correction_dtype;
    uint8_t plain_levels, searches;
    uint16_t reserved;
    SampleSize sample;  // of no rows unless the codebook is chosen by the weights

    HT_DEVICE uint64_t groups_of_row() const { return cols / group; }
    HT_DEVICE uint64_t groups() const { return rows * groups_of_row(); }
    HT_DEVICE uint64_t correction_bytes() const { return groups() * bytes_of_a_correction; }

    template <class Byte>
    HT_DEVICE auto* book(Byte* grid) const {
        return array<Levels>(grid, front);
    }
    template <class Byte>
    HT_DEVICE auto* level_table(Byte* grid) const {
        return array<float>(grid, front + sizeof(Levels));
    }
    template <class Byte>
    HT_DEVICE auto* upper_table(Byte* grid) const {
        return array<float>(grid, front + sizeof(Levels) + table_bytes);
    }
    template <class Byte>
    HT_DEVICE auto* steps(Byte* grid) const {  // the scale of its row, for every group
        return array<float>(grid, steps_at);
    }
    template <class Byte>
    HT_DEVICE auto* scale_codes(Byte* grid) const {
        return array<uint8_t>(grid, steps_at + up(4 * groups()));
    }
    template <class Byte>
    HT_DEVICE auto* corrections(Byte* grid) const {
        return array<uint8_t>(grid, corrections_at());
    }
    template <class Byte>
    HT_DEVICE auto* sampled_rows(Byte* grid) const {
        return array<uint64_t>(grid, sample_at());
    }
    template <class Byte>
    HT_DEVICE auto* judged(Byte* grid) const {
        return array<uint32_t>(grid, sample_at() + up(8 * sample.listed_rows));
    }
    template <class Byte>
    HT_DEVICE auto* fitted(Byte* grid) const {
        return array<uint32_t>(grid, sample_at() + up(8 * sample.listed_rows) + up(4 * sample.judged));
    }
    HT_DEVICE uint64_t bytes() const {
        return sample_at() + up(8 * sample.listed_rows) + up(4 * sample.judged) + up(4 * sample.fitted);
    }

    // The levels of a group with this scale.
    HT_DEVICE LevelView levels(const std::byte* grid, uint8_t scale_code) const {
        return {level_table(grid) + 16 * scale_code, upper_table(grid) + 16 * scale_code};
    }
    // What decoding adds to group k of a row.
    HT_DEVICE float offset(const std::byte* grid, uint64_t row, uint64_t k) const {
        if (bytes_of_a_correction == 0) return 0;
        return stored_number(corrections(grid), k * rows + row, correction_dtype);
    }
    HT_DEVICE SampleView sampled(const std::byte* grid) const {
        return {cols, sample, sampled_rows(grid), judged(grid), fitted(grid)};
    }

  private:
    static constexpr uint64_t front = 128, table_bytes = tables * 16 * sizeof(float);
    static constexpr uint64_t steps_at = front + sizeof(Levels) + 2 * table_bytes;
    static_assert(sizeof(Levels) % 64 == 0);

    HT_DEVICE uint64_t corrections_at() const { return steps_at + up(4 * groups()) + up(groups()); }
    HT_DEVICE uint64_t sample_at() const { return corrections_at() + up(correction_bytes()); }
    HT_DEVICE static uint64_t up(uint64_t n) { return (n + 63) / 64 * 64; }
};
static_assert(sizeof(GridLayout) <= 128 && std::has_unique_object_representations_v<GridLayout>);

}  // namespace halftone::asym_w4a8_int8
