#include "core/rounding/cpu_matrices.hpp"

namespace halftone {

CpuMatrices::CpuMatrices(const Matrix& weights, const Factors& factors, uint32_t large_ones)
    : weights_(weights),
      factors_(factors),
      allowance_({weights.rows(), weights.cols()},
                 {factors.p_rows(weights.rows()), factors.p_cols(weights.cols())}, large_ones) {}

ht_mat CpuMatrices::add(uint64_t rows, uint64_t cols) {
    allowance_.take({rows, cols});
    matrices_.emplace_back(rows, cols);
    return HT_MAT_FIRST + static_cast<ht_mat>(matrices_.size() - 1);
}

ht_num CpuMatrices::add(double number) {
    numbers_.push_back(number);
    return static_cast<ht_num>(numbers_.size() - 1);
}

ConstMatrixView CpuMatrices::read(ht_mat handle) const {
    if (handle == HT_MAT_WEIGHTS) return weights_;
    if (handle == HT_MAT_LEFT && !factors_.left.empty()) return factors_.left;
    if (handle == HT_MAT_RIGHT && !factors_.right.empty()) return factors_.right;
    return matrices_[matrix_index(handle, matrices_.size())];
}

MatrixView CpuMatrices::write(ht_mat handle) {
    require_writable(handle);
    return matrices_[matrix_index(handle, matrices_.size())];
}

double& CpuMatrices::number(ht_num handle) {
    return numbers_[number_index(handle, numbers_.size())];
}

}  // namespace halftone
