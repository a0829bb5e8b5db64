#include "core/rounding/device_matrices.hpp"

namespace halftone {

DeviceMatrices::DeviceMatrices(DeviceWork& work, const DeviceMatrix& weights, const DeviceFactors& factors,
                               uint32_t large_ones)
    : work_(work),
      weights_(weights),
      factors_(factors),
      allowance_({weights.rows, weights.cols}, {factors.p_rows(weights.rows), factors.p_cols(weights.cols)},
                 large_ones) {}

ht_mat DeviceMatrices::add(uint64_t rows, uint64_t cols) {
    allowance_.take({rows, cols});
    const DeviceMatrix& made = matrices_.emplace_back(work_.device, rows, cols);
    work_.stream.fill(made.at(), 0, made.bytes());
    return HT_MAT_FIRST + static_cast<ht_mat>(matrices_.size() - 1);
}

ht_num DeviceMatrices::add(double number) {
    numbers_.push_back(work_.numbers.add(work_.stream, number));
    return static_cast<ht_num>(numbers_.size() - 1);
}

const DeviceMatrix& DeviceMatrices::read(ht_mat handle) const {
    if (handle == HT_MAT_WEIGHTS) return weights_;
    if (handle == HT_MAT_LEFT && !factors_.left.empty()) return factors_.left;
    if (handle == HT_MAT_RIGHT && !factors_.right.empty()) return factors_.right;
    return matrices_[matrix_index(handle, matrices_.size())];
}

const DeviceMatrix& DeviceMatrices::write(ht_mat handle) const {
    require_writable(handle);
    return read(handle);
}

double* DeviceMatrices::number(ht_num handle) const {
    return numbers_[number_index(handle, numbers_.size())];
}

}  // namespace halftone
