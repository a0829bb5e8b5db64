#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <halftone/ext/draft/device.h>
#include <halftone/ext/draft/kernels.h>

#include "plugins/library.hpp"

namespace halftone {

class Registry;

// What a device could not do. The caller goes on with less or with the CPU; an Error ends the run.
class DeviceFailure : public std::runtime_error {
  public:
    enum class Kind { out_of_memory, lost, refused, failed };
    DeviceFailure(Kind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
    Kind kind() const { return kind_; }

  private:
    Kind kind_;
};

// A device of a plugin, opened. Any thread; what it makes keeps it alive.
class Device : public std::enable_shared_from_this<Device> {
  public:
    struct Info {
        std::string name;
        uint64_t memory_bytes = 0, free_bytes = 0;
        uint32_t units = 0;
    };
    // The devices that a plugin finds. Throws DeviceFailure with the reason if there are none.
    static std::vector<Info> list(const PluginLibrary&);
    static std::shared_ptr<Device> open(std::shared_ptr<PluginLibrary>, uint32_t index);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const Info& info() const { return info_; }
    std::string id() const { return library_->file().id; }
    bool lost() const { return lost_; }
    // For work that wants the device's memory for itself.
    std::mutex& whole() { return whole_; }

    // Kernels of an image, loaded once. Lives as long as the device.
    void* module(const ht_kernels&);
    void* common();  // the device's own, by the names of HT_DEVICE_KERNELS

  private:
    friend class DeviceBuffer;
    friend class DeviceStream;
    Device(std::shared_ptr<PluginLibrary>, uint32_t index);
    // Calls a function of the table; `doing` completes "... failed".
    template <class Function, class... Args>
    void call(const char* doing, Function, Args...) const;

    std::shared_ptr<PluginLibrary> library_;
    ht_device table_{};
    void* device_ = nullptr;
    Info info_;
    mutable std::atomic<bool> lost_ = false;
    std::mutex whole_;
};

// Memory of a device, or of the host where the device reads it fastest.
class DeviceBuffer {
  public:
    enum class Place { device = HT_PLACE_DEVICE, pinned = HT_PLACE_PINNED };
    DeviceBuffer() = default;
    DeviceBuffer(std::shared_ptr<Device>, uint64_t bytes, Place = Place::device);
    ~DeviceBuffer();
    DeviceBuffer(DeviceBuffer&&) noexcept;
    DeviceBuffer& operator=(DeviceBuffer&&) noexcept;

    uint64_t size() const { return bytes_; }
    std::byte* data() const { return static_cast<std::byte*>(at_); }
    template <class T>
    T* as() const {
        return static_cast<T*>(at_);
    }
    // At least this much; the contents are lost if it has to grow.
    void grow(const std::shared_ptr<Device>&, uint64_t bytes, Place = Place::device);

  private:
    std::shared_ptr<Device> device_;
    void* at_ = nullptr;
    uint64_t bytes_ = 0;
};

// Work in order. One thread at a time.
class DeviceStream {
  public:
    explicit DeviceStream(std::shared_ptr<Device>);
    ~DeviceStream();
    DeviceStream(const DeviceStream&) = delete;
    DeviceStream& operator=(const DeviceStream&) = delete;

    Device& device() const { return *device_; }
    void copy(void* to, const void* from, uint64_t bytes);
    void fill(void* to, uint8_t byte, uint64_t bytes);
    // `work`: threads that would be good to have; rows of a matrix count as one block each.
    template <class Args>
    void launch(void* module, const char* kernel, uint64_t blocks, const Args& args) {
        launch_bytes(module, kernel, blocks, &args, sizeof args);
    }
    void gemm(const ht_linear_gemm& args) { linear(HT_LINEAR_GEMM, &args); }
    void factor(const ht_linear_factor& args) { linear(HT_LINEAR_FACTOR, &args); }
    void svd(const ht_linear_svd& args) { linear(HT_LINEAR_SVD, &args); }
    void wait();

  private:
    void launch_bytes(void* module, const char* kernel, uint64_t blocks, const void* args, uint64_t bytes);
    void linear(int32_t what, const void* args);

    std::shared_ptr<Device> device_;
    void* stream_ = nullptr;
};

// Blocks for kernels that stride over n elements.
uint64_t blocks_for(const Device&, uint64_t n);

// [run] device: "cpu", the id of a device plugin, or "auto" for the first device that works. Empty stands for
// the CPU; `why` then says why no device was taken. Exit::usage or Exit::plugin if one was asked for by name
// and is not there.
struct DeviceChoice {
    std::shared_ptr<Device> device;
    std::string why;
};
DeviceChoice choose_device(Registry&, const std::string& asked, const std::string& where);

}  // namespace halftone
