#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace halftone {

// How many singular directions of a matrix count: a share of them, within bounds, at most all.
struct RankRule {
    double top_p = 0.2;
    uint64_t least = 64, most = 1024;

    uint64_t rank(uint64_t rows, uint64_t cols) const {
        const uint64_t all = std::min(rows, cols);
        const auto share = static_cast<uint64_t>(std::floor(top_p * static_cast<double>(all)));
        return std::min({most, std::max(least, share), all});
    }
};

}  // namespace halftone
