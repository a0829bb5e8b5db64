#pragma once

#include <halftone/ext/draft/optimizer.h>

#include "core/rounding/projection.hpp"
#include "plugins/format.hpp"

namespace halftone {

// A matrix of the weights' size as its numbers are meant.
struct Candidate {
    ConstMatrixView at;
    ht_space space;
};

// What candidates are worth on a grid, tile by tile: their values, what would be stored of them, and its
// bytes. Refers to all it is given; the grid may change between calls.
class CandidateTiles {
  public:
    CandidateTiles(const FormatPlan&, const Grid&, const Matrix& weights);

    void values(const Candidate&, const TilePlace&, MatrixView out) const;
    void stored(const Candidate&, const TilePlace&, MatrixView out) const;
    void subtract_weights(const TilePlace&, MatrixView) const;

    // How many elements of `stored` are something else than the weights rounded to nearest.
    uint64_t differing(const TilePlace&, ConstMatrixView stored) const;

    // Every byte of the stored weight.
    void encode(const Candidate&, std::span<std::byte>) const;

  private:
    ConstMatrixView weights_at(const TilePlace&) const;

    const FormatPlan& format_;
    const Grid& grid_;
    const Matrix& weights_;
};

// ||decoded - weights||^2 of stored bytes.
double squared_error_of(std::span<const std::byte> codes, const FormatPlan&, const Grid&,
                        const Matrix& weights);

}  // namespace halftone
