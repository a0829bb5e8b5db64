#pragma once

#include <deque>
#include <vector>

#include <halftone/ext/draft/optimizer.h>

#include "core/rounding/device_numbers.hpp"
#include "core/rounding/device_projection.hpp"
#include "core/rounding/problem_checks.hpp"

namespace halftone {

// The matrices and numbers of a problem by their handles, on a device. A handle that is none is the plugin's
// mistake and throws Exit::plugin.
class DeviceMatrices {
  public:
    DeviceMatrices(DeviceWork&, const DeviceMatrix& weights, const DeviceFactors&, uint32_t large_ones);

    ht_mat add(uint64_t rows, uint64_t cols);
    ht_num add(double number);
    const DeviceMatrix& read(ht_mat) const;
    const DeviceMatrix& write(ht_mat) const;
    double* number(ht_num) const;

  private:
    DeviceWork& work_;
    const DeviceMatrix& weights_;
    const DeviceFactors& factors_;
    MatrixAllowance allowance_;
    std::deque<DeviceMatrix> matrices_;
    std::vector<double*> numbers_;
};

}  // namespace halftone
