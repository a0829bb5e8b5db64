#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/device/device.hpp"
#include "core/rounding/problem.hpp"
#include "plugins/optimizer.hpp"

namespace halftone {

struct Learned {
    RoundingResult result;
    std::string why_on_cpu;  // why a device that was given did not do it; empty if it did, or none was given
};

// Runs an optimizer on a task: on the device if there is one and it can, otherwise on the CPU, which
// `instead` is told of before it begins. Throws what minimize() throws.
Learned learn_rounding(RoundingTask, const Optimizer&, const OptionValues&, const std::shared_ptr<Device>&,
                       const std::function<void()>& instead = {});

}  // namespace halftone
