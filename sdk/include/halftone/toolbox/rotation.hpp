// The rotation (hadamard.hpp) as formats offer it: an option, and whole rows.
#pragma once

#include <string>

#include <halftone/format.hpp>
#include <halftone/toolbox/hadamard.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

inline constexpr uint64_t usual_rotation = 256;
inline constexpr ht_option rotation_group_option = whole(
    "rotation_group", "256", 4, 65536,
    "columns that are rotated together, a power of 4; where it does not divide the columns, the next smaller "
    "one from 16 on");

// As asked for; a power of 4.
inline uint64_t wanted_rotation(const Options& options) {
    const auto group = static_cast<uint64_t>(options.whole("rotation_group"));
    if (!rotates_in(group))
        throw Refused("rotation_group is " + std::to_string(group) + ", which is no power of 4");
    return group;
}

// Whether a file may claim it.
inline bool rotates_in(int64_t group, uint64_t cols) {
    return group > 0 && rotates_in(static_cast<uint64_t>(group)) && cols % static_cast<uint64_t>(group) == 0;
}

// Groups along every row; the loop of this CPU level.
struct RowRotation {
    uint64_t group = 0;  // 0: none
    void (*loop)(float* x, size_t n, size_t group, ptrdiff_t stride) = nullptr;

    void rotate(const ht_view& rows, uint64_t n, uint64_t cols) const {
        for (uint64_t i = 0; i < n; ++i)
            loop(rows.at + static_cast<int64_t>(i) * rows.row_stride, cols, group, rows.col_stride);
    }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
