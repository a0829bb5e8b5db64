#pragma once

#include <cstdint>

#include "core/checkpoint/checkpoint.hpp"
#include "core/run/workers.hpp"
#include "plugins/format.hpp"

namespace halftone {

// How a matrix is cut into bands of whole granules: about as many elements as stay in a core's cache.
class Bands {
  public:
    Bands(uint64_t rows, uint64_t cols, uint64_t granule_rows);

    uint64_t count() const { return count_; }
    ht_region region(uint64_t index) const;
    uint64_t largest_elements() const { return per_band_ * cols_; }

  private:
    uint64_t rows_, cols_, per_band_, count_;
};

// Elements of a band that only passes through: copies and casts.
inline constexpr uint64_t flat_band_elements = 256 * 1024;

// Reads a region of whole rows and widens it. Returns how many values are NaN or infinite.
struct WidenedBand {
    ht_view view;
    uint64_t nonfinite;
};
WidenedBand read_band(const Checkpoint&, const Tensor&, const ht_region&, Scratch&);

}  // namespace halftone
