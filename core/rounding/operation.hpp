#pragma once

#include <optional>
#include <vector>

#include <halftone/ext/draft/optimizer.h>

#include "core/rounding/projection.hpp"
#include "plugins/format.hpp"

namespace halftone {

// One operation of an optimizer over all tiles of its matrices, on the CPU. Which tiles there are follows
// from the shape alone, and sums are folded in their order.
class Operation {
  public:
    Operation(const ht_op&, const FormatPlan&, const Grid&, const Matrix& weights, uint64_t seed,
              const std::string& culprit);

    void add(ConstMatrixView);
    void run(std::vector<double>& numbers, const Lift* gradient) const;

  private:
    void tile(const TilePlace&, std::vector<double>& numbers, const Lift* gradient) const;

    const ht_op& op_;
    const FormatPlan& format_;
    const Grid& grid_;
    const Matrix& weights_;
    uint64_t seed_;
    const std::string& culprit_;
    const std::optional<ht_table> table_;
    std::vector<ht_view> mats_;
    uint64_t rows_ = 0, cols_ = 0;
};

// HT_FACTOR_... of a square matrix.
void factor_matrix(int32_t what, ConstMatrixView a, MatrixView out);

}  // namespace halftone
