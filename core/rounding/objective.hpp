#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/linalg/matrix.hpp"

namespace halftone {

// The two matrices of an objective ||A (Q - W) B||^2; an empty one is the identity. In the basis of the grid
// and scaled so that neither stretches: the largest singular value of each is 1.
struct Factors {
    Matrix left;               // A: any number of rows, as many columns as W has rows
    Matrix right;              // B: as many rows as W has columns
    bool orthonormal = false;  // A A' = 1 and B' B = 1

    uint64_t p_rows(uint64_t rows) const { return left.empty() ? rows : left.rows(); }
    uint64_t p_cols(uint64_t cols) const { return right.empty() ? cols : right.cols(); }
};

// Whether A E B takes fewer products as A (E B) than as (A E) B, for an E of rows x cols and a result of
// p_rows x p_cols. At least one factor is there.
bool right_factor_first(bool left, bool right, uint64_t rows, uint64_t cols, uint64_t p_rows,
                        uint64_t p_cols);

// What learned rounding makes small. The leading singular directions of the weights are found where the
// arithmetic is; other factors come as data.
struct Objective {
    std::string name;                  // "svd", "squared", ...: equal names are equal objectives
    uint64_t singular_directions = 0;  // > 0: A = U', B = V of so many; `factors` is not used
    std::shared_ptr<const Factors> factors;
};

// What decides between candidates: the weighted sum of objectives, each as a multiple of what round to
// nearest has; candidates whose squared error exceeds a multiple of round to nearest's are out.
struct Judge {
    struct Term {
        double weight = 1;
        Objective objective;
    };
    std::vector<Term> terms;
    double squared_error_cap = std::numeric_limits<double>::infinity();
};

// What was measured of one candidate, on its stored bytes. Losses are squared norms.
struct Measured {
    double loss = 0;            // of the objective that is minimized
    double squared_error = 0;   // ||Q - W||^2
    std::vector<double> terms;  // of the judge
};

// Lower is better; 1 is round to nearest (0 if that is perfect). Infinite over the cap.
double judged(const Judge&, const Measured&, const Measured& nearest);

}  // namespace halftone
