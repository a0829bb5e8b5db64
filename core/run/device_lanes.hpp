#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/device/device.hpp"

namespace halftone {

// What one job needs to work on a device: a stream and its buffers, which grow and are used again.
struct DeviceLane {
    explicit DeviceLane(std::shared_ptr<Device> on) : device(std::move(on)), stream(device) {}

    std::shared_ptr<Device> device;
    DeviceStream stream;
    DeviceBuffer staging[2];  // pinned: one is read into while the other is copied from
    DeviceBuffer source, values, codes, partials;
    DeviceBuffer codes_here;  // pinned
};

// The device of a run, shared by its jobs.
class DeviceLanes {
  public:
    // `asked_for`: by name; otherwise the device does only what it does better than the CPU.
    DeviceLanes(std::shared_ptr<Device> device, bool asked_for)
        : device_(std::move(device)), asked_for_(asked_for) {}

    const std::shared_ptr<Device>& device() const { return device_; }
    bool asked_for() const { return asked_for_; }

    // A lane to work with; it comes back when the handle goes.
    class Handle {
      public:
        Handle(DeviceLanes& lanes, std::unique_ptr<DeviceLane> lane)
            : lanes_(lanes), lane_(std::move(lane)) {}
        ~Handle() { lanes_.give_back(std::move(lane_)); }
        Handle(const Handle&) = delete;
        Handle& operator=(const Handle&) = delete;
        DeviceLane& operator*() const { return *lane_; }

      private:
        DeviceLanes& lanes_;
        std::unique_ptr<DeviceLane> lane_;
    };
    Handle take() {
        const std::lock_guard lock(mutex_);
        if (idle_.empty()) return {*this, std::make_unique<DeviceLane>(device_)};
        std::unique_ptr<DeviceLane> lane = std::move(idle_.back());
        idle_.pop_back();
        return {*this, std::move(lane)};
    }

    // Gives the memory of idle lanes back.
    void clear() {
        const std::lock_guard lock(mutex_);
        idle_.clear();
    }

  private:
    void give_back(std::unique_ptr<DeviceLane> lane) {
        const std::lock_guard lock(mutex_);
        idle_.push_back(std::move(lane));
    }

    std::shared_ptr<Device> device_;
    bool asked_for_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<DeviceLane>> idle_;
};

}  // namespace halftone
