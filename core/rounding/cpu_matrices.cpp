#include "core/rounding/cpu_matrices.hpp"

#include "core/base/error.hpp"

namespace halftone {

CpuMatrices::CpuMatrices(const Matrix& weights, const Factors& factors, uint32_t large_ones)
    : weights_(weights),
      factors_(factors),
      // Without factors the projected error is itself as large as the weights.
      large_left_(large_ones + (factors.left.empty() && factors.right.empty() ? 1 : 0)) {}

ht_mat CpuMatrices::add(uint64_t rows, uint64_t cols) {
    if (rows == 0 || cols == 0) fail(Exit::plugin, "", "mat() was asked for a matrix without elements");
    const uint64_t large = weights_.rows() * weights_.cols();
    // What is smaller than the weights belongs to the factors and is counted with them.
    if (cols > large / rows + 1 || rows * cols >= large) {
        if (large_left_ == 0 || cols > large / rows + 1 || rows * cols > large)
            throw Error(Exit::plugin, "",
                        fmt::format("mat() was asked for another matrix of {} x {}, beyond what mats() told",
                                    rows, cols));
        --large_left_;
    }
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
    if (handle < HT_MAT_FIRST || handle - HT_MAT_FIRST >= matrices_.size())
        fail(Exit::plugin, "", "used {} as a matrix, and there is none of that number", handle);
    return matrices_[handle - HT_MAT_FIRST];
}

MatrixView CpuMatrices::write(ht_mat handle) {
    if (handle < HT_MAT_FIRST) fail(Exit::plugin, "", "would write to matrix {}, which is read only", handle);
    read(handle);
    return matrices_[handle - HT_MAT_FIRST];
}

double& CpuMatrices::number(ht_num handle) {
    if (handle >= numbers_.size())
        fail(Exit::plugin, "", "used {} as a number, and there is none of that number", handle);
    return numbers_[handle];
}

}  // namespace halftone
