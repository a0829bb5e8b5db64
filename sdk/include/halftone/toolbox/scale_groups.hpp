// Which elements of a matrix share a scale.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>

#include <halftone/format.h>
#include <halftone/plugin.hpp>
#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// Groups are numbered in row-major order. Tiles at the right and lower edges and the last run may be short.
class ScaleGroups {
  public:
    static ScaleGroups tensor(uint64_t rows, uint64_t cols) {
        return {HT_SCALE_TENSOR, rows, cols, rows, cols};
    }
    static ScaleGroups row(uint64_t rows, uint64_t cols) { return {HT_SCALE_ROW, rows, cols, 1, cols}; }
    static ScaleGroups tile(uint64_t rows, uint64_t cols, uint64_t tile_rows, uint64_t tile_cols) {
        return {HT_SCALE_TILE, rows, cols, tile_rows, tile_cols};
    }
    // Runs of the flattened matrix.
    static ScaleGroups run(uint64_t rows, uint64_t cols, uint64_t length) {
        return {HT_SCALE_RUN, rows, cols, 1, length};
    }

    ht_scale_kind kind() const { return kind_; }
    uint64_t rows() const { return rows_; }
    uint64_t cols() const { return cols_; }
    uint64_t group_rows() const { return group_rows_; }
    uint64_t group_cols() const { return group_cols_; }

    uint64_t count() const {
        if (kind_ == HT_SCALE_RUN) return up(rows_ * cols_, group_cols_);
        return up(rows_, group_rows_) * up(cols_, group_cols_);
    }

    uint64_t at(uint64_t row, uint64_t col) const {
        if (kind_ == HT_SCALE_RUN) return (row * cols_ + col) / group_cols_;
        return row / group_rows_ * up(cols_, group_cols_) + col / group_cols_;
    }

    // The fewest rows that whole groups make, so that bands can be fitted one by one. A matrix with one scale
    // is fitted by passes instead.
    uint64_t granule_rows() const {
        if (kind_ == HT_SCALE_TILE) return group_rows_;
        if (kind_ == HT_SCALE_RUN) return group_cols_ / std::gcd(cols_, group_cols_);
        return 1;
    }

    // Cuts a region into pieces of rows that share a scale, row by row: visit(i, j, n, group) for the n
    // elements from (i, j) on, counted from the region's corner. No piece is longer than `most`.
    template <class Visit>
    void each_piece(const ht_region& region, uint64_t most, Visit&& visit) const {
        for (uint64_t i = 0; i < region.rows; ++i)
            each_piece_of_row(region.row + i, region.col, region.cols, most,
                              [&](uint64_t j, uint64_t n, uint64_t group) { visit(i, j, n, group); });
    }

    // The pieces of one group, in the same way: visit(row, col, n), counted in the matrix.
    template <class Visit>
    void each_piece_of(uint64_t group, uint64_t most, Visit&& visit) const {
        each_piece_of_group(GroupShape{kind_, rows_, cols_, group_rows_, group_cols_}, group, most, visit);
    }

  private:
    ScaleGroups(ht_scale_kind kind, uint64_t rows, uint64_t cols, uint64_t group_rows, uint64_t group_cols)
        : kind_(kind), rows_(rows), cols_(cols), group_rows_(group_rows), group_cols_(group_cols) {}

    static uint64_t up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

    // Counts along instead of dividing for each piece, which may be short.
    template <class Visit>
    void each_piece_of_row(uint64_t row, uint64_t col, uint64_t cols, uint64_t most, Visit&& visit) const {
        const uint64_t place = kind_ == HT_SCALE_RUN ? row * cols_ + col : col;
        uint64_t group = at(row, col), left = group_cols_ - place % group_cols_;
        for (uint64_t j = 0, n = 0; j < cols; j += n) {
            n = std::min({left, cols - j, most});
            visit(j, n, group);
            left -= n;
            if (left > 0) continue;
            left = group_cols_;
            ++group;
        }
    }

    ht_scale_kind kind_;
    uint64_t rows_, cols_, group_rows_, group_cols_;
};

// For layouts that have no place for a group that is cut off.
inline void demand_whole_blocks(uint64_t n, uint64_t block, const char* what) {
    if (n % block != 0)
        throw Refused(std::to_string(n) + " " + what + " are no multiple of the block size, " +
                      std::to_string(block));
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
