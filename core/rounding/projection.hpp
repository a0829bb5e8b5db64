#pragma once

#include <functional>

#include "core/rounding/objective.hpp"

namespace halftone {

// A rectangle of a matrix that is made tile by tile and never exists whole.
struct TilePlace {
    uint64_t row, col, rows, cols;
    uint64_t index;  // counts the tiles, in an order that follows from the shape alone
};
using MakeTile = std::function<void(const TilePlace&, MatrixView out)>;

// p = A E B for an E of rows x cols that `make` fills in, each tile once. The same bits for any number of
// threads. `tiles` is how many there are.
class Projection {
  public:
    Projection(const Factors&, uint64_t rows, uint64_t cols);

    uint64_t tiles() const { return down_ * across_; }
    void operator()(const MakeTile& make, MatrixView p) const;

  private:
    void by_rows(const MakeTile&, MatrixView p) const;
    void by_columns(const MakeTile&, MatrixView p) const;
    void as_it_is(const MakeTile&, MatrixView p) const;
    TilePlace place(uint64_t down, uint64_t across) const;

    const Factors& factors_;
    uint64_t rows_, cols_, down_, across_;
};

// A' p B', tile by tile.
class Lift {
  public:
    Lift(const Factors&, ConstMatrixView p, uint64_t rows, uint64_t cols);

    // to = alpha * tile + beta * to, on the calling thread.
    void tile(uint64_t row, uint64_t col, float alpha, float beta, MatrixView to) const;

  private:
    const Factors& factors_;
    ConstMatrixView p_;
    Matrix half_;  // p B' or A' p, whichever is cheaper; empty if one factor is missing
    bool right_done_ = false;
};

}  // namespace halftone
