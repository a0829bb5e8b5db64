#pragma once

#include <cmath>
#include <random>

#include "tests/unit/fp8/plugin_under_test.hpp"

namespace halftone::fp8_test {

// Weights of random shape and scale, with outliers, zeros of both signs, zero rows, and numbers of few bits.
inline Matrix random_matrix(std::mt19937_64& random, uint64_t most_rows = 12, uint64_t most_cols = 80) {
    Matrix matrix{1 + random() % most_rows, 1 + random() % most_cols, {}};
    std::normal_distribution<float> normal(0.0f, std::ldexp(1.0f, static_cast<int>(random() % 40) - 20));
    const bool few_bits = random() % 3 == 0;
    for (uint64_t i = 0; i < matrix.rows; ++i) {
        const bool zero_row = random() % 10 == 0;
        for (uint64_t j = 0; j < matrix.cols; ++j) {
            float x = normal(random);
            if (few_bits) x = std::ldexp(std::round(std::ldexp(x, 24)), -24);
            if (random() % 50 == 0) x *= 30;
            if (random() % 20 == 0) x = random() % 2 ? 0.0f : -0.0f;
            matrix.values.push_back(zero_row ? 0.0f : x);
        }
    }
    return matrix;
}

}  // namespace halftone::fp8_test
