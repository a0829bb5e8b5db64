#pragma once

#include <cstdint>
#include <functional>

#include "core/rounding/device_numbers.hpp"

namespace halftone {

// Two factors of an objective on a device; an empty one is the identity.
struct DeviceFactors {
    DeviceMatrix left, right;
    bool orthonormal = false;

    uint64_t p_rows(uint64_t rows) const { return left.empty() ? rows : left.rows; }
    uint64_t p_cols(uint64_t cols) const { return right.empty() ? cols : right.cols; }
};

// Products with an objective's factors, by bands of whole rows.
class DeviceProjection {
  public:
    // `one` and `zero` are numbers on the device; bands have at most `band_rows`.
    DeviceProjection(std::shared_ptr<Device>, const DeviceFactors&, uint64_t rows, uint64_t cols,
                     uint64_t band_rows, const double* one, const double* zero);

    // p = A E B, for an E that `make(row, rows, band)` makes band by band. `band` has room for one.
    using MakeBand = std::function<void(uint64_t row, uint64_t rows, float* band)>;
    void project(DeviceStream&, const MakeBand& make, float* band, float* p);

    // Prepares lift() for this p.
    void begin_lift(DeviceStream&, const float* p);
    // to = alpha * (A' p B') + beta * to, of `rows` rows from `row` on.
    void lift(DeviceStream&, uint64_t row, uint64_t rows, const double* alpha, const double* beta, float* to,
              int32_t precision) const;

  private:
    struct Factor {
        const float* at;
        uint64_t stride;
        bool transposed;
    };
    void multiply(DeviceStream&, uint64_t rows, uint64_t cols, uint64_t inner, Factor a, Factor b,
                  const double* alpha, const double* beta, float* to, uint64_t stride,
                  int32_t precision) const;

    std::shared_ptr<Device> device_;
    const DeviceFactors& factors_;
    uint64_t rows_, cols_, band_rows_, p_rows_, p_cols_;
    const double *one_, *zero_;
    DeviceBuffer half_;
    const float* lifted_ = nullptr;
    bool right_done_ = false;
};

}  // namespace halftone
