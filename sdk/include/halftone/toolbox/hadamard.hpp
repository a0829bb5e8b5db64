// The rotation of ConvRot: every run of `group` columns times H, where H_4 = 1/2 [[1, 1, 1, -1], [1, 1, -1,
// 1], [1, -1, 1, 1], [-1, 1, 1, 1]] and H_4k is the Kronecker product of H_k and H_4. H is symmetric and its
// own inverse, and no column of it is constant, so that a value common to all columns is not gathered in one.
//
// A fast transform with one order of additions: the same bits at every CPU level. For kernel files, like
// scalar_kernels.hpp. The rounding of log4(group) steps differs from that of a matrix product in the last
// bits.
#pragma once

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// A group must be a power of 4 greater than 1.
constexpr bool rotates_in(uint64_t group) {
    return group >= 4 && (group & (group - 1)) == 0 && (group & 0x5555555555555555) != 0;
}

// The largest power of 4 that divides the columns and is not above `most`; from 16 on, unless `most` is 4. 0
// if there is none.
constexpr uint64_t rotation_group(uint64_t cols, uint64_t most) {
    for (uint64_t group = most; group >= (most < 16 ? most : 16); group /= 4)
        if (cols % group == 0) return group;
    return 0;
}

namespace loops {

// One step of the transform: at distances 1, 4, 16, ..., in this order.
HT_DEVICE void hadamard_4(float& a, float& b, float& c, float& d) {
    const float sum = a + b, difference = a - b, more = c + d, less = c - d;
    a = 0.5f * (sum + less);
    b = 0.5f * (sum - less);
    c = 0.5f * (difference + more);
    d = 0.5f * (more - difference);
}

// n numbers, `stride` apart; n is a multiple of the group.
[[maybe_unused]] static void hadamard(float* x, size_t n, size_t group, ptrdiff_t stride) {
    for (size_t step = 1; step < group; step *= 4)
        if (stride != 1) {
            for (size_t i = 0; i < n; ++i) {
                if (i / step % 4 != 0) continue;
                float* const at = x + static_cast<ptrdiff_t>(i) * stride;
                const ptrdiff_t apart = static_cast<ptrdiff_t>(step) * stride;
                hadamard_4(at[0], at[apart], at[2 * apart], at[3 * apart]);
            }
        } else if (step == 1) {
            HT_INDEPENDENT
            for (size_t i = 0; i < n; i += 4)
                hadamard_4(x[i], x[i + 1], x[i + 2], x[i + 3]);
        } else {
            for (size_t i = 0; i < n; i += 4 * step) {
                float* const at = x + i;
                HT_INDEPENDENT
                for (size_t k = 0; k < step; ++k)
                    hadamard_4(at[k], at[k + step], at[k + 2 * step], at[k + 3 * step]);
            }
        }
}

}  // namespace loops
}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
