#pragma once

#include <deque>

#include <halftone/ext/draft/optimizer.h>

#include "core/linalg/matrix.hpp"
#include "core/rounding/objective.hpp"
#include "core/rounding/problem_checks.hpp"

namespace halftone {

// The matrices and numbers of a problem by their handles. A handle that is none is the plugin's mistake and
// throws Exit::plugin with `culprit`.
class CpuMatrices {
  public:
    CpuMatrices(const Matrix& weights, const Factors& factors, uint32_t large_ones);

    ht_mat add(uint64_t rows, uint64_t cols);
    ht_num add(double number);
    ConstMatrixView read(ht_mat) const;
    MatrixView write(ht_mat);
    double& number(ht_num);

  private:
    const Matrix& weights_;
    const Factors& factors_;
    MatrixAllowance allowance_;
    std::deque<Matrix> matrices_;
    std::deque<double> numbers_;
};

}  // namespace halftone
