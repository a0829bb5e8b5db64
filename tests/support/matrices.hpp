// The numbers that formats are tested with: weights of random shape and scale, and how results are compared.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include <halftone/format.h>

namespace halftone::format_test {

using Bytes = std::vector<uint8_t>;

struct Matrix {
    uint64_t rows = 0, cols = 0;
    std::vector<float> values;

    float& at(uint64_t i, uint64_t j) { return values[i * cols + j]; }
    float at(uint64_t i, uint64_t j) const { return values[i * cols + j]; }
};

inline ht_region whole(const Matrix& matrix) {
    return {0, 0, matrix.rows, matrix.cols};
}
// The contract has one type of view for what is read and what is written.
inline ht_view view_of(const Matrix& matrix, uint64_t row = 0, uint64_t col = 0) {
    return {const_cast<float*>(matrix.values.data()) + row * matrix.cols + col,
            static_cast<int64_t>(matrix.cols), 1};
}
// Bit patterns: NaN equals itself, and 0 differs from -0.
inline std::vector<uint32_t> bits(const std::vector<float>& values) {
    std::vector<uint32_t> result(values.size());
    std::memcpy(result.data(), values.data(), values.size() * sizeof(float));
    return result;
}
template <class T>
std::vector<T> numbers(const Bytes& bytes) {
    std::vector<T> result(bytes.size() / sizeof(T));
    std::memcpy(result.data(), bytes.data(), result.size() * sizeof(T));
    return result;
}
template <class T>
Bytes bytes_of(const std::vector<T>& numbers) {
    Bytes result(numbers.size() * sizeof(T));
    std::memcpy(result.data(), numbers.data(), result.size());
    return result;
}
inline double squared_error(const Matrix& a, const Matrix& b, const std::vector<float>& column_weight = {}) {
    double sum = 0;
    for (uint64_t i = 0; i < a.values.size(); ++i) {
        const double difference = static_cast<double>(a.values[i]) - static_cast<double>(b.values[i]);
        sum += difference * difference *
               (column_weight.empty() ? 1.0 : static_cast<double>(column_weight[i % a.cols]));
    }
    return sum;
}

// What makes a matrix of a random shape; formats restrict it.
struct Shapes {
    uint64_t most_rows = 12, most_cols = 80;
    uint64_t row_step = 1, col_step = 1;
};

// Weights of random shape and scale, with outliers, zeros of both signs, zero rows, and numbers of few bits.
inline Matrix random_matrix(std::mt19937_64& random, const Shapes& shapes = {}) {
    const auto size = [&](uint64_t most, uint64_t step) { return (1 + random() % (most / step)) * step; };
    Matrix matrix;
    matrix.rows = size(shapes.most_rows, shapes.row_step);
    matrix.cols = size(shapes.most_cols, shapes.col_step);
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

}  // namespace halftone::format_test
