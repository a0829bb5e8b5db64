#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "plugins/conformance/draw.hpp"

namespace halftone::conformance {

// A region's numbers in a larger piece of memory: with gaps between rows or between columns, or turned. What
// lies between them is marked, so that it shows who writes there.
class Canvas {
  public:
    static constexpr uint64_t layouts = 4;

    Canvas(uint64_t rows, uint64_t cols, uint64_t layout) : rows_(rows), cols_(cols) {
        const auto r = static_cast<int64_t>(rows), c = static_cast<int64_t>(cols);
        switch (layout % layouts) {
            case 0:
                row_stride_ = c, col_stride_ = 1;
                break;
            case 1:
                row_stride_ = c + 3, col_stride_ = 1;
                break;
            case 2:
                row_stride_ = 1, col_stride_ = r + 2;
                break;
            default:
                row_stride_ = c * 3 + 1, col_stride_ = 3;
        }
        const int64_t last = (r - 1) * row_stride_ + (c - 1) * col_stride_;
        cells_.assign(static_cast<size_t>(last + 1 + 2 * margin), std::bit_cast<float>(mark));
    }

    ht_view view() { return {cells_.data() + margin, row_stride_, col_stride_}; }
    float at(uint64_t i, uint64_t j) const { return cells_[place(i, j)]; }

    void fill(const Matrix& from, const ht_region& region) {
        for (uint64_t i = 0; i < rows_; ++i)
            for (uint64_t j = 0; j < cols_; ++j)
                cells_[place(i, j)] = from.at(region.row + i, region.col + j);
    }

    // Every cell that is none of the region's is as it was.
    bool untouched_between() const {
        std::vector<bool> mine(cells_.size());
        for (uint64_t i = 0; i < rows_; ++i)
            for (uint64_t j = 0; j < cols_; ++j)
                mine[place(i, j)] = true;
        for (size_t cell = 0; cell < cells_.size(); ++cell)
            if (!mine[cell] && std::bit_cast<uint32_t>(cells_[cell]) != mark) return false;
        return true;
    }

  private:
    static constexpr uint32_t mark = 0x7FE5A5C3;  // a quiet NaN that nobody computes
    static constexpr int64_t margin = 16;

    size_t place(uint64_t i, uint64_t j) const {
        return static_cast<size_t>(margin + static_cast<int64_t>(i) * row_stride_ +
                                   static_cast<int64_t>(j) * col_stride_);
    }

    uint64_t rows_, cols_;
    int64_t row_stride_ = 0, col_stride_ = 0;
    Floats cells_;
};

}  // namespace halftone::conformance
