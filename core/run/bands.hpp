#pragma once

#include <cstdint>

#include <halftone/matrix.h>

namespace halftone {

// How a matrix is cut into bands of whole granules: about as many elements as stay in a core's cache. Where
// the source has granules of its own (`source_granule_rows`), bands are made of whole ones of both if that
// does not make them much larger.
class Bands {
  public:
    Bands(uint64_t rows, uint64_t cols, uint64_t granule_rows, uint64_t source_granule_rows = 1);

    uint64_t count() const { return count_; }
    ht_region region(uint64_t index) const;
    uint64_t largest_rows() const { return per_band_; }
    uint64_t largest_elements() const { return per_band_ * cols_; }

  private:
    uint64_t rows_, cols_, per_band_, count_;
};

// Elements of a band that only passes through: copies and casts.
inline constexpr uint64_t flat_band_elements = 256 * 1024;

}  // namespace halftone
