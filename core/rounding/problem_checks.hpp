#pragma once

#include "core/rounding/problem.hpp"

namespace halftone {

// What every problem asks of the plugin that works on it, wherever the matrices lie. A breach is the plugin's
// mistake and throws Exit::plugin, without its name: minimize() adds that.
struct Extent {
    uint64_t rows, cols;
    bool operator==(const Extent&) const = default;
};

// How many matrices a plugin may still make: as many of the weights' size as mats() told, and one for the
// projected error, which with some factors is no smaller than the weights. What is smaller is counted with
// the factors.
class MatrixAllowance {
  public:
    MatrixAllowance(Extent weights, Extent projection, uint32_t large_ones)
        : weights_(weights), projection_(projection), large_left_(large_ones) {}

    void take(Extent);

  private:
    Extent weights_, projection_;
    uint32_t large_left_, projections_left_ = 1;
};

// The place of a handle among the matrices, or numbers, that the plugin made so far.
size_t matrix_index(ht_mat, size_t made);
size_t number_index(ht_num, size_t made);
void require_writable(ht_mat);

void require_same(Extent, Extent, const char* function);
void require_projection(Extent, const Problem::Shape&);
void require_product(Extent a, bool ta, Extent b, bool tb, Extent c);
void require_space(ht_space);

// Candidates are judged by snap(); what is handed over is what decode() makes of its bytes.
void require_stored_as_judged(const FormatPlan&, double judged_squared_error, double stored_squared_error);

}  // namespace halftone
