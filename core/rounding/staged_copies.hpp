#pragma once

#include <cstdint>
#include <memory>

#include "core/device/device.hpp"

namespace halftone {

// Copies of large matrices through a little pinned memory, which all threads fill or empty: one thread alone
// copies slower than a device does. Both functions wait.
class StagedCopies {
  public:
    static constexpr uint64_t piece = 8u << 20;   // pinning memory takes longer than copying it
    static constexpr uint64_t bytes = 2 * piece;  // of the host

    explicit StagedCopies(std::shared_ptr<Device>);

    void upload(DeviceStream&, void* to, const void* from, uint64_t bytes);
    void download(DeviceStream&, void* to, const void* from, uint64_t bytes);

  private:
    DeviceBuffer staging_[2];
};

}  // namespace halftone
