#include "core/device/device.hpp"

#include <algorithm>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "plugins/abi_copy.hpp"
#include "plugins/call.hpp"
#include "plugins/registry.hpp"

namespace halftone {
namespace {

using Kind = DeviceFailure::Kind;

ht_device checked_table(const PluginLibrary& library) {
    if (library.descriptor().kind != HT_KIND_DEVICE) fail(Exit::plugin, library.culprit(), "is no device");
    const auto table = copied(static_cast<const ht_device*>(library.descriptor().table));
    if (!table.list || !table.open || !table.close || !table.buffer || !table.drop || !table.stream ||
        !table.end || !table.copy || !table.fill || !table.load || !table.launch || !table.linear ||
        !table.wait || !table.extension)
        fail(Exit::plugin, library.culprit(), "its function table has gaps; every function is needed");
    return table;
}

Kind kind_of(ht_status status) {
    switch (status) {
        case HT_DEVICE_OUT_OF_MEMORY:
        case HT_NO_MEMORY:
            return Kind::out_of_memory;
        case HT_DEVICE_LOST:
            return Kind::lost;
        case HT_REFUSED:
            return Kind::refused;
        default:
            return Kind::failed;
    }
}

// A status of a device is no tensor's fault and not always the plugin's.
template <class Function, class... Args>
void call_device(const PluginLibrary& library, const char* doing, Function function, Args... args) {
    Reason place;
    const ht_status status =
        halftone::call<os::Patience::any>(library.culprit(), doing, function, args..., place.get());
    const ht_error& error = place.checked(library.culprit(), doing);
    if (status == HT_OK) return;
    const std::string reason = shown({error.text, sizeof error.text});
    throw DeviceFailure(kind_of(status),
                        reason.empty() ? fmt::format("{} failed (status {})", doing, status) : reason);
}

// For destructors, which no error can leave.
template <class Function, class... Args>
void give_back(const PluginLibrary& library, const char* name, Function function, Args... args) {
    try {
        halftone::call<os::Patience::any>(library.culprit(), name, function, args...);
    } catch (const Error&) {
    }
}

ht_device_info listed(const PluginLibrary& library, const ht_device& table, uint32_t index) {
    ht_device_info info{};
    info.size = sizeof info;
    call_device(library, "looking at a device", table.list, index, &info);
    return info;
}

Device::Info to_info(const ht_device_info& from) {
    return {from.name ? shown(from.name) : "unnamed", from.memory_bytes, from.free_bytes, from.units};
}

}  // namespace

template <class Function, class... Args>
void Device::call(const char* doing, Function function, Args... args) const {
    try {
        call_device(*library_, doing, function, device_, args...);
    } catch (const DeviceFailure& failure) {
        if (failure.kind() == Kind::lost) lost_ = true;
        throw;
    }
}

std::vector<Device::Info> Device::list(const PluginLibrary& library) {
    const ht_device table = checked_table(library);
    std::vector<Info> all;
    for (uint32_t i = 0;; ++i) {
        try {
            all.push_back(to_info(listed(library, table, i)));
        } catch (const DeviceFailure&) {
            if (i == 0) throw;
            return all;
        }
    }
}

std::shared_ptr<Device> Device::open(std::shared_ptr<PluginLibrary> library, uint32_t index) {
    return std::shared_ptr<Device>(new Device(std::move(library), index));
}

Device::Device(std::shared_ptr<PluginLibrary> library, uint32_t index)
    : library_(std::move(library)), table_(checked_table(*library_)) {
    info_ = to_info(listed(*library_, table_, index));
    call_device(*library_, "opening a device", table_.open, index, &device_);
}

Device::~Device() {
    give_back(*library_, "close()", table_.close, device_);
}

void* Device::module(const ht_kernels& kernels) {
    void* module = nullptr;
    call("loading kernels", table_.load, kernels.image, kernels.bytes, &module);
    return module;
}

void* Device::common() {
    const auto* const kernels = static_cast<const ht_kernels*>(
        halftone::call(library_->culprit(), "extension()", table_.extension, HT_DEVICE_KERNELS));
    if (!kernels) fail(Exit::plugin, library_->culprit(), "has no kernels of its own");
    return module(*kernels);
}

// ------------------------------------------------------------------------------------------------- memory
DeviceBuffer::DeviceBuffer(std::shared_ptr<Device> device, uint64_t bytes, Place place)
    : device_(std::move(device)), bytes_(bytes) {
    device_->call("taking memory", device_->table_.buffer, bytes, static_cast<int32_t>(place), &at_);
}

DeviceBuffer::~DeviceBuffer() {
    if (at_) give_back(*device_->library_, "drop()", device_->table_.drop, device_->device_, at_);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : device_(std::move(other.device_)),
      at_(std::exchange(other.at_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(at_, other.at_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

void DeviceBuffer::grow(const std::shared_ptr<Device>& device, uint64_t bytes, Place place) {
    if (at_ && bytes_ >= bytes) return;
    *this = DeviceBuffer();  // first give back, then take
    *this = DeviceBuffer(device, bytes, place);
}

// ------------------------------------------------------------------------------------------------- streams
DeviceStream::DeviceStream(std::shared_ptr<Device> device) : device_(std::move(device)) {
    device_->call("making a stream", device_->table_.stream, &stream_);
}

DeviceStream::~DeviceStream() {
    give_back(*device_->library_, "end()", device_->table_.end, device_->device_, stream_);
}

void DeviceStream::copy(void* to, const void* from, uint64_t bytes) {
    device_->call("copying", device_->table_.copy, stream_, to, from, bytes);
}

void DeviceStream::fill(void* to, uint8_t byte, uint64_t bytes) {
    device_->call("filling", device_->table_.fill, stream_, to, byte, bytes);
}

void DeviceStream::launch_bytes(void* module, const char* kernel, uint64_t blocks, const void* args,
                                uint64_t bytes) {
    device_->call(kernel, device_->table_.launch, stream_, module, kernel, std::max<uint64_t>(blocks, 1),
                  args, bytes);
}

void DeviceStream::linear(int32_t what, const void* args) {
    device_->call("linear algebra", device_->table_.linear, stream_, what, args);
}

void DeviceStream::wait() {
    device_->call("work", device_->table_.wait, stream_);
}

uint64_t blocks_for(const Device& device, uint64_t n) {
    constexpr uint64_t blocks_per_unit = 16;
    return std::clamp<uint64_t>((n + HT_KERNEL_THREADS - 1) / HT_KERNEL_THREADS, 1,
                                std::max<uint64_t>(device.info().units, 1) * blocks_per_unit);
}

// ------------------------------------------------------------------------------------------------- the
// choice
DeviceChoice choose_device(Registry& registry, const std::string& asked, const std::string& where) {
    if (asked == "cpu") return {nullptr, "the pipeline asks for the CPU"};
    if (asked != "auto") {
        const std::shared_ptr<PluginLibrary> library = registry.library(HT_KIND_DEVICE, asked, where);
        try {
            return {Device::open(library, 0), ""};
        } catch (const DeviceFailure& failure) {
            throw Error(Exit::plugin, where,
                        fmt::format("device \"{}\" cannot be used: {}", asked, failure.what()),
                        "device = \"auto\" takes the CPU where there is no device");
        }
    }
    std::vector<std::string> reasons;
    for (const std::string& id : registry.ids(HT_KIND_DEVICE)) {
        try {
            return {Device::open(registry.library(HT_KIND_DEVICE, id, where), 0), ""};
        } catch (const DeviceFailure& failure) {  // a machine without such a device
            reasons.push_back(id + ": " + failure.what());
        }
    }
    return {nullptr, reasons.empty() ? "no device plugin is installed" : text::join(reasons, "; ")};
}

}  // namespace halftone
