#include "core/rounding/learn.hpp"

#include <mutex>
#include <utility>

#include "core/base/os/process.hpp"
#include "core/rounding/cpu_problem.hpp"
#include "core/rounding/device_problem.hpp"
#include "core/rounding/minimize.hpp"

namespace halftone {

Learned learn_rounding(RoundingTask task, const Optimizer& optimizer, const OptionValues& options,
                       const std::shared_ptr<Device>& device, const std::function<void()>& instead) {
    Learned learned;
    if (device) {
        learned.why_on_cpu = device->lost() ? "the device is lost" : why_not_on_device(task, optimizer);
        if (learned.why_on_cpu.empty()) {
            const std::lock_guard one_at_a_time(device->whole());
            try {
                const std::unique_ptr<Problem> problem = make_device_problem(task, device, optimizer);
                learned.result = minimize(*problem, optimizer, options);
                os::anonymous_memory_peak();
                return learned;
            } catch (const DeviceFailure& failure) {
                learned.why_on_cpu = failure.what();
            }
        }
        if (instead) instead();
    }
    const std::unique_ptr<Problem> problem = make_cpu_problem(std::move(task));
    learned.result = minimize(*problem, optimizer, options);
    os::anonymous_memory_peak();  // everything is there now
    return learned;
}

}  // namespace halftone
