// Whether a matrix gets a codebook of its own: the one pass over it, before anything is fitted.
#pragma once

#include <memory>
#include <mutex>

#include <halftone/format.hpp>

#include "grid.hpp"
#include "sample.hpp"

namespace halftone::asym_w4a8_int8 {

class Judge {
  public:
    // Puts the lists of what is looked at into the grid.
    void begin(const GridLayout&, std::byte* grid) const;

    // Of numbers in units of their group's largest, which largest() finds.
    static void look_at(const Band&, float (*largest)(const float* x, size_t n), const GridLayout&,
                        const std::byte* grid, void* partials);

    // Fits a codebook to what was seen in all granules, if it has heavy tails.
    static bool fit(const SampleSize&, const void* partials, uint64_t granules, float (&codebook)[16]);

  private:
    mutable std::once_flag sampled_;
    mutable std::shared_ptr<const Sample> sample_;  // kept for other plans of this shape
};

}  // namespace halftone::asym_w4a8_int8
