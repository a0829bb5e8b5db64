#include "core/rounding/device_projection.hpp"

#include <algorithm>

#include "core/rounding/objective.hpp"

namespace halftone {

DeviceProjection::DeviceProjection(std::shared_ptr<Device> device, const DeviceFactors& factors,
                                   uint64_t rows, uint64_t cols, uint64_t band_rows, const double* one,
                                   const double* zero)
    : device_(std::move(device)),
      factors_(factors),
      rows_(rows),
      cols_(cols),
      band_rows_(band_rows),
      p_rows_(factors.p_rows(rows)),
      p_cols_(factors.p_cols(cols)),
      one_(one),
      zero_(zero) {}

void DeviceProjection::multiply(DeviceStream& stream, uint64_t rows, uint64_t cols, uint64_t inner, Factor a,
                                Factor b, const double* alpha, const double* beta, float* to, uint64_t stride,
                                int32_t precision) const {
    ht_linear_gemm args{};
    args.size = sizeof args;
    args.transpose_a = a.transposed;
    args.transpose_b = b.transposed;
    args.precision = precision;
    args.rows = rows;
    args.cols = cols;
    args.inner = inner;
    args.a = a.at;
    args.b = b.at;
    args.c = to;
    args.a_stride = a.stride;
    args.b_stride = b.stride;
    args.c_stride = stride;
    args.alpha = alpha;
    args.beta = beta;
    stream.gemm(args);
}

void DeviceProjection::project(DeviceStream& stream, const MakeBand& make, float* band, float* p) {
    const DeviceMatrix &left = factors_.left, &right = factors_.right;
    const bool by_rows = right_factor_first(!left.empty(), !right.empty(), rows_, cols_, p_rows_, p_cols_);
    float* half = p;
    if (!left.empty() && !right.empty()) {
        half_.grow(device_, (by_rows ? rows_ * p_cols_ : p_rows_ * cols_) * sizeof(float));
        half = half_.as<float>();
    }
    for (uint64_t row = 0; row < rows_; row += band_rows_) {
        const uint64_t n = std::min(band_rows_, rows_ - row);
        if (left.empty() && right.empty()) {
            make(row, n, p + row * cols_);
            continue;
        }
        make(row, n, band);
        if (by_rows)
            multiply(stream, n, p_cols_, cols_, {band, cols_, false}, {right.at(), p_cols_, false}, one_,
                     zero_, half + row * p_cols_, p_cols_, HT_GEMM_SPLIT);
        else
            multiply(stream, p_rows_, cols_, n, {left.at() + row, rows_, false}, {band, cols_, false}, one_,
                     row == 0 ? zero_ : one_, half, cols_, HT_GEMM_SPLIT);
    }
    if (left.empty() || right.empty()) return;
    if (by_rows)
        multiply(stream, p_rows_, p_cols_, rows_, {left.at(), rows_, false}, {half, p_cols_, false}, one_,
                 zero_, p, p_cols_, HT_GEMM_FLOAT32);
    else
        multiply(stream, p_rows_, p_cols_, cols_, {half, cols_, false}, {right.at(), p_cols_, false}, one_,
                 zero_, p, p_cols_, HT_GEMM_FLOAT32);
}

void DeviceProjection::begin_lift(DeviceStream& stream, const float* p) {
    const DeviceMatrix &left = factors_.left, &right = factors_.right;
    lifted_ = p;
    if (left.empty() || right.empty()) return;
    right_done_ = cols_ <= rows_;
    half_.grow(device_, (right_done_ ? p_rows_ * cols_ : rows_ * p_cols_) * sizeof(float));
    auto* const half = half_.as<float>();
    if (right_done_)
        multiply(stream, p_rows_, cols_, p_cols_, {p, p_cols_, false}, {right.at(), p_cols_, true}, one_,
                 zero_, half, cols_, HT_GEMM_FLOAT32);
    else
        multiply(stream, rows_, p_cols_, p_rows_, {left.at(), rows_, true}, {p, p_cols_, false}, one_, zero_,
                 half, p_cols_, HT_GEMM_FLOAT32);
    lifted_ = half;
}

void DeviceProjection::lift(DeviceStream& stream, uint64_t row, uint64_t rows, const double* alpha,
                            const double* beta, float* to, int32_t precision) const {
    const DeviceMatrix &left = factors_.left, &right = factors_.right;
    if (left.empty() && right.empty()) {
        const ht_scale_add_args args{sizeof(ht_scale_add_args), 0, rows * cols_, alpha, beta,
                                     lifted_ + row * cols_,     to};
        return stream.launch(device_->common(), "scale_add", blocks_for(*device_, args.n), args);
    }
    const bool by_left = right.empty() || (!left.empty() && right_done_);
    if (by_left)
        multiply(stream, rows, cols_, p_rows_, {left.at() + row, rows_, true}, {lifted_, cols_, false}, alpha,
                 beta, to, cols_, precision);
    else
        multiply(stream, rows, cols_, p_cols_, {lifted_ + row * p_cols_, p_cols_, false},
                 {right.at(), p_cols_, true}, alpha, beta, to, cols_, precision);
}

}  // namespace halftone
