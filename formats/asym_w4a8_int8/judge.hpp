// Whether a matrix gets a codebook of its own: the one pass over it, before anything is fitted.
#pragma once

#include <memory>
#include <mutex>

#include <halftone/format.hpp>

#include "sample.hpp"

namespace halftone::asym_w4a8_int8 {

class Judge {
  public:
    Judge(uint64_t rows, uint64_t cols, uint64_t group) : rows_(rows), cols_(cols), group_(group) {}

    uint64_t granule_rows() const;   // so many that about one of them is sampled
    uint64_t partial_bytes() const;  // of one granule

    // Of numbers in units of their group's largest, which largest() finds.
    void look_at(const Band&, float (*largest)(const float* x, size_t n), void* partials) const;

    // Fits a codebook to what was seen in all granules, if it has heavy tails.
    bool fit(const void* partials, uint64_t granules, float (&codebook)[16]) const;

  private:
    const Sample& sample() const;
    uint64_t most_fitted() const;

    uint64_t rows_, cols_, group_;
    mutable std::once_flag sampled_;
    mutable std::shared_ptr<const Sample> sample_;
};

}  // namespace halftone::asym_w4a8_int8
