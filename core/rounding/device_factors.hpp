#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/rounding/device_numbers.hpp"
#include "core/rounding/device_projection.hpp"
#include "core/rounding/objective.hpp"

namespace halftone {

// factor() of ht_problem. What the device refuses, the CPU makes.
void factor_on_device(DeviceWork&, int32_t what, const DeviceMatrix& from, const DeviceMatrix& to);

// The factors of objectives on a device. Objectives of the same name share theirs.
class ObjectiveFactors {
  public:
    // Refers to all it is given; `there` are the same weights on the device.
    ObjectiveFactors(DeviceWork&, const Matrix& weights, const DeviceMatrix& there, uint64_t seed);

    std::shared_ptr<const DeviceFactors> of(const Objective&);  // waits

  private:
    void upload(const Matrix& from, DeviceMatrix& to);
    void find_directions(uint64_t rank, DeviceFactors&);

    DeviceWork& work_;
    const Matrix& weights_;
    const DeviceMatrix& there_;
    const uint64_t seed_;
    std::map<std::string, std::shared_ptr<const DeviceFactors>, std::less<>> known_;
};

}  // namespace halftone
