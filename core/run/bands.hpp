#pragma once

#include <cstdint>

#include <halftone/matrix.h>

namespace halftone {

// How a matrix is cut into bands of whole granules: about as many elements as stay in a core's cache. Where
// the source has granules of its own (`source_granule_rows`), bands are made of whole ones of both if that
// does not make them much larger. Rows that are much larger are cut at multiples of `piece_cols`, if that is
// not 0 and granules are of one row.
class Bands {
  public:
    Bands(uint64_t rows, uint64_t cols, uint64_t granule_rows, uint64_t source_granule_rows = 1,
          uint64_t piece_cols = 0);

    uint64_t count() const { return count_ * parts_; }
    ht_region region(uint64_t index) const;  // the parts of a row follow each other
    uint64_t parts_of_a_row() const { return parts_; }
    uint64_t largest_rows() const { return per_band_; }
    uint64_t largest_cols() const { return cols_of_part_; }
    uint64_t largest_elements() const { return per_band_ * cols_of_part_; }

  private:
    uint64_t rows_, cols_, per_band_, count_, parts_ = 1, cols_of_part_;
};

// Where both may be cut: 0 if one may not.
uint64_t common_piece(uint64_t piece_cols, uint64_t other_piece_cols);

// Elements of a band that only passes through: copies and casts.
inline constexpr uint64_t flat_band_elements = 256 * 1024;

}  // namespace halftone
