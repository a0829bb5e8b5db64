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
    uint8_t search;    // scales are searched (scale_search.hpp)
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

// How a matrix is cut into groups that share a scale (scale_groups.hpp).
struct GroupShape {
    int32_t kind;  // HT_SCALE_...
    uint64_t rows, cols, group_rows, group_cols;
};

// The pieces of a group: visit(row, col, n), counted in the matrix, in order and none longer than `most`.
template <class Visit>
HT_DEVICE void each_piece_of_group(const GroupShape& h, uint64_t group, uint64_t most, Visit&& visit) {
    const auto least = [](uint64_t a, uint64_t b) { return a < b ? a : b; };
    if (h.kind == HT_SCALE_RUN) {
        const uint64_t first = group * h.group_cols, end = least(first + h.group_cols, h.rows * h.cols);
        for (uint64_t place = first, n = 0; place < end; place += n) {
            n = least(least(end - place, h.cols - place % h.cols), most);
            visit(place / h.cols, place % h.cols, n);
        }
        return;
    }
    const uint64_t across = h.cols / h.group_cols + (h.cols % h.group_cols != 0);
    const uint64_t first = group / across * h.group_rows, col = group % across * h.group_cols;
    const uint64_t end_row = least(first + h.group_rows, h.rows), end = least(col + h.group_cols, h.cols);
    for (uint64_t row = first; row < end_row; ++row)
        for (uint64_t j = col, n = 0; j < end; j += n) {
            n = least(end - j, most);
            visit(row, j, n);
        }
}

// Of scales that are stored and not 0: the least normal number, since hardware may take smaller ones for 0.
inline constexpr float least_stored_scale = 1.17549435e-38f;

// t = x * pre (or x / pre) is rounded; value = level * post. `post` is what gets stored.
struct Scale {
    float pre, post;
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
