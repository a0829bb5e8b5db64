// The numbers of a matrix that decide about its codebook: comfy-kitchen's own choice of them, which follows
// from the shape alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "grid.hpp"

namespace halftone::asym_w4a8_int8 {

class Sample {
  public:
    // Shared by all that ask for this shape at a time.
    static std::shared_ptr<const Sample> of(uint64_t rows, uint64_t cols);

    static SampleSize size(uint64_t rows, uint64_t cols);

    Sample(uint64_t rows, uint64_t cols);

    void write(const GridLayout&, std::byte* grid) const;

  private:
    std::vector<uint64_t> rows_;             // empty: all
    std::vector<uint32_t> judged_, fitted_;  // ascending; empty: all numbers
};

}  // namespace halftone::asym_w4a8_int8
