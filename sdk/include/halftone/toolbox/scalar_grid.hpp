// The grid of a scalar format (scalar_format.hpp) as memory: what the host fills in and kernels read.
#pragma once

#include <halftone/format.h>
#include <halftone/toolbox/device.hpp>
#include <halftone/toolbox/nibbles.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// The front of the grid; after it, each on a 64-byte boundary: level, upper, pre, post, amax.
struct ScalarGridHeader {
    uint64_t rows, cols, group_rows, group_cols, groups;
    int16_t scale_kind;
    uint8_t rotation;  // log4 of the columns that are rotated together; 0: none
    uint8_t reserved;
    uint32_t levels;
    uint8_t divide;
    Packing packing;     // of the stored codes, see nibbles.hpp
    uint8_t variant;     // which of the kernel file's elements it is, see scalar_kernels.cuh
    uint8_t padded;      // stored rows and columns are padded to multiples of group_cols with zeros
    float magnitude;     // from which a searched scale of the whole matrix is made; 0 before the search
    double least_error;  // of that scale
};
static_assert(sizeof(ScalarGridHeader) == 64);

// Where array i of the grid starts; 5 gives the grid's size.
HT_DEVICE constexpr uint64_t scalar_grid_offset(uint64_t levels, uint64_t groups, uint32_t array) {
    const uint64_t level_bytes = (levels * sizeof(float) + 63) / 64 * 64;
    const uint64_t group_bytes = (groups * sizeof(float) + 63) / 64 * 64;
    return 64 + (array < 2 ? array * level_bytes : 2 * level_bytes + (array - 2) * group_bytes);
}

// t = x * pre (or x / pre) is rounded; value = level * post. `post` is what gets stored.
struct Scale {
    float pre, post;
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
