#include "core/rounding/device_matrices.hpp"

#include "core/base/error.hpp"

namespace halftone {

DeviceMatrices::DeviceMatrices(DeviceWork& work, const DeviceMatrix& weights, const DeviceFactors& factors,
                               uint32_t large_ones)
    : work_(work), weights_(weights), factors_(factors), large_left_(large_ones) {}

ht_mat DeviceMatrices::add(uint64_t rows, uint64_t cols) {
    if (rows == 0 || cols == 0) fail(Exit::plugin, "", "mat() was asked for a matrix without elements");
    const uint64_t large = weights_.size();
    if (cols > large / rows + 1 || rows * cols >= large) {
        if (large_left_ == 0 || cols > large / rows + 1 || rows * cols > large)
            fail(Exit::plugin, "", "mat() was asked for another matrix of {} x {}, beyond what mats() told",
                 rows, cols);
        --large_left_;
    }
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
    if (handle < HT_MAT_FIRST || handle - HT_MAT_FIRST >= matrices_.size())
        fail(Exit::plugin, "", "used {} as a matrix, and there is none of that number", handle);
    return matrices_[handle - HT_MAT_FIRST];
}

const DeviceMatrix& DeviceMatrices::write(ht_mat handle) const {
    if (handle < HT_MAT_FIRST) fail(Exit::plugin, "", "would write to matrix {}, which is read only", handle);
    return read(handle);
}

double* DeviceMatrices::number(ht_num handle) const {
    if (handle >= numbers_.size())
        fail(Exit::plugin, "", "used {} as a number, and there is none of that number", handle);
    return numbers_[handle];
}

}  // namespace halftone
