#pragma once

#include <cstdint>
#include <deque>

#include <halftone/ext/draft/optimizer.h>

#include "core/device/device.hpp"
#include "core/linalg/matrix.hpp"

namespace halftone {

// A float32 matrix on a device, row after row without gaps.
struct DeviceMatrix {
    DeviceBuffer memory;
    uint64_t rows = 0, cols = 0;

    DeviceMatrix() = default;
    DeviceMatrix(const std::shared_ptr<Device>& device, uint64_t n_rows, uint64_t n_cols)
        : memory(device, n_rows * n_cols * sizeof(float)), rows(n_rows), cols(n_cols) {}

    bool empty() const { return rows == 0; }
    uint64_t size() const { return rows * cols; }
    uint64_t bytes() const { return size() * sizeof(float); }
    float* at(uint64_t row = 0) const { return memory.as<float>() + row * cols; }
    ht_view view(uint64_t row = 0) const { return {at(row), static_cast<int64_t>(cols), 1}; }
    void upload(DeviceStream& stream, const float* from) const { stream.copy(at(), from, bytes()); }
    Matrix download(DeviceStream&) const;  // waits
};

// Numbers on a device: doubles at places that stay.
class DeviceNumbers {
  public:
    explicit DeviceNumbers(std::shared_ptr<Device>);

    double* add(DeviceStream&, double initial);
    void set(DeviceStream&, double* at, double value);
    double read(DeviceStream&, const double*) const;  // waits

  private:
    static constexpr uint64_t per_block = 512;
    std::shared_ptr<Device> device_;
    std::deque<DeviceBuffer> blocks_;
    std::deque<double> values_;  // live until they have been copied
    uint64_t used_ = per_block;
};

// The sum of squares of value - weights over n numbers, in a fixed order. Makes `error`, which may be
// `value`, if it is not null. Counts what differs from `nearest` if that is not null.
class SquaredSums {
  public:
    explicit SquaredSums(std::shared_ptr<Device>);

    struct Of {
        uint64_t n;
        const float* value;
        const float* weights = nullptr;
        const float* nearest = nullptr;
        float* error = nullptr;
    };
    // *squares = (add ? *squares : 0) + the sum; likewise *different.
    void run(DeviceStream&, const Of&, bool add, double* squares, double* different = nullptr);

  private:
    std::shared_ptr<Device> device_;
    DeviceBuffer partials_;
};

// What the parts of a problem on a device share.
struct DeviceWork {
    explicit DeviceWork(std::shared_ptr<Device>);

    std::shared_ptr<Device> device;
    DeviceStream stream;
    DeviceNumbers numbers;
    SquaredSums sums;
    double *one, *zero;
    double* ignored;  // for results that nobody keeps
};

}  // namespace halftone
