#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/device/device.hpp"
#include "plugins/format.hpp"

namespace halftone {

// A format's grid on a device, with those of the format's functions that work there. Regions and views are
// those of plugins/format.hpp, with pointers of the device. One stream at a time.
class DeviceGrid {
  public:
    DeviceGrid(std::shared_ptr<Device>, const FormatPlan&);

    // Whether a function of that name has a kernel that does what this plan does.
    bool has(const char* function) const { return format_.kernels(function) != nullptr; }
    // Whether snap() works: by a kernel of the format or by its table.
    bool snaps(const Grid&) const;

    void upload(DeviceStream&, const Grid&);
    void download(DeviceStream&, Grid&) const;  // waits

    void rotate(DeviceStream&, bool back, const ht_region&, const ht_view&) const;
    void fit_pass(DeviceStream&, uint32_t pass, const ht_region&, const ht_view&, void* partials) const;
    void fit_band(DeviceStream&, const ht_region&, const ht_view&);
    void encode(DeviceStream&, const ht_region&, const ht_view&, void* band) const;
    void decode(DeviceStream&, const ht_region&, const void* band, const ht_view& out) const;
    void snap(DeviceStream&, const ht_region&, const ht_view& in, const ht_view& out) const;
    // Without a kernel: made on the CPU once for the whole matrix, and kept on the device.
    void sigma(DeviceStream&, const ht_region&, const ht_view& out);
    void around(DeviceStream&, const ht_region&, const ht_view& in, const ht_view& lo,
                const ht_view& hi) const;

  private:
    void launch(DeviceStream&, const char* kernel, const ht_region&, ht_kernel_args&) const;

    std::shared_ptr<Device> device_;
    const FormatPlan& format_;
    DeviceBuffer memory_, sigma_;
    std::optional<ht_table> table_;  // with pointers of the device
    const Grid* host_ = nullptr;     // what was uploaded
};

}  // namespace halftone
