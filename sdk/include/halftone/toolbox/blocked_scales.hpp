// The tiled ("swizzled") layout of one-byte block scales that tensor cores read: tiles of 128 rows and 4
// columns, the matrix padded to whole tiles with zeros.
#pragma once

#include <cstring>

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

struct BlockedScales {
    uint64_t rows, cols;  // of the scales, unpadded

    HT_DEVICE constexpr uint64_t padded_rows() const { return (rows + 127) / 128 * 128; }
    HT_DEVICE constexpr uint64_t padded_cols() const { return (cols + 3) / 4 * 4; }
    HT_DEVICE constexpr uint64_t bytes() const { return padded_rows() * padded_cols(); }

    // Tiles in row-major order; in a tile, row 32 k + r lies k * 4 bytes into the 16 bytes of r.
    HT_DEVICE constexpr uint64_t offset(uint64_t row, uint64_t col) const {
        const uint64_t tile = row / 128 * (padded_cols() / 4) + col / 4;
        return (tile * 32 + row % 32) * 16 + row % 128 / 32 * 4 + col % 4;
    }

    // To and from plain row-major bytes.
    void write(const uint8_t* plain, uint8_t* blocked) const {
        std::memset(blocked, 0, bytes());
        each([&](uint64_t from, uint64_t to) { blocked[to] = plain[from]; });
    }
    void read(const uint8_t* blocked, uint8_t* plain) const {
        each([&](uint64_t from, uint64_t to) { plain[from] = blocked[to]; });
    }

  private:
    template <class Visit>
    void each(Visit&& visit) const {
        for (uint64_t row = 0; row < rows; ++row)
            for (uint64_t col = 0; col < cols; ++col)
                visit(row * cols + col, offset(row, col));
    }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
