#pragma once

#include <cstdint>

#include "core/base/aligned.hpp"

namespace halftone {

// float32 numbers of somebody else, row after row.
struct ConstMatrixView {
    const float* at = nullptr;
    uint64_t rows = 0, cols = 0, stride = 0;

    const float* row(uint64_t i) const { return at + i * stride; }
    ConstMatrixView block(uint64_t row, uint64_t col, uint64_t n_rows, uint64_t n_cols) const {
        return {at + row * stride + col, n_rows, n_cols, stride};
    }
};

struct MatrixView {
    float* at = nullptr;
    uint64_t rows = 0, cols = 0, stride = 0;

    float* row(uint64_t i) const { return at + i * stride; }
    MatrixView block(uint64_t row, uint64_t col, uint64_t n_rows, uint64_t n_cols) const {
        return {at + row * stride + col, n_rows, n_cols, stride};
    }
    operator ConstMatrixView() const { return {at, rows, cols, stride}; }
};

// A float32 matrix, zero when made. Without rows it stands for "none".
class Matrix {
  public:
    Matrix() = default;
    Matrix(uint64_t rows, uint64_t cols) : bytes_(rows * cols * sizeof(float)), rows_(rows), cols_(cols) {}

    uint64_t rows() const { return rows_; }
    uint64_t cols() const { return cols_; }
    bool empty() const { return rows_ == 0; }

    MatrixView view() { return {data(), rows_, cols_, cols_}; }
    ConstMatrixView view() const { return {data(), rows_, cols_, cols_}; }
    operator MatrixView() { return view(); }
    operator ConstMatrixView() const { return view(); }

    float* data() { return reinterpret_cast<float*>(bytes_.data()); }
    const float* data() const { return reinterpret_cast<const float*>(bytes_.data()); }

  private:
    AlignedBytes bytes_;
    uint64_t rows_ = 0, cols_ = 0;
};

}  // namespace halftone
