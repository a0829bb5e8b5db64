#include "core/rounding/cpu_matrices.hpp"

#include "core/base/error.hpp"

namespace halftone {

CpuMatrices::CpuMatrices(const Matrix& weights, const Factors& factors, uint32_t large_ones)
    : weights_(weights), factors_(factors), large_left_(large_ones) {}

// Some room for matrices as large as the projected error: with some factors it is no smaller than the
// weights.
ht_mat CpuMatrices::add(uint64_t rows, uint64_t cols) {
    if (rows == 0 || cols == 0) fail(Exit::plugin, "", "mat() was asked for a matrix without elements");
    const uint64_t large = weights_.rows() * weights_.cols();
    const bool projection =
        rows == factors_.p_rows(weights_.rows()) && cols == factors_.p_cols(weights_.cols());
    const bool small = cols < large / rows;
    if (projection && projections_left_ > 0)
        --projections_left_;
    else if (rows == weights_.rows() && cols == weights_.cols() && large_left_ > 0)
        --large_left_;
    else if (!small || projection)
        throw Error(Exit::plugin, "",
                    fmt::format("mat() was asked for another matrix of {} x {}, beyond what mats() told",
                                rows, cols));
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
