// device-cuda: NVIDIA's devices for Halftone.

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <halftone/ext/draft/device.h>
#include <halftone/ext/draft/kernels.h>
#include <halftone/kernel_image.hpp>
#include <halftone/plugin.hpp>

#include "driver.hpp"
#include "linear.hpp"

HALFTONE_KERNEL_IMAGE(device_kernels)

namespace halftone::cuda {
namespace {

// Runs `work` and turns what it throws into a status.
template <class Work>
ht_status reported(ht_error* error, Work&& work) noexcept {
    try {
        std::forward<Work>(work)();
        return HT_OK;
    } catch (const Failure& failure) {
        return detail::report(error, failure.status(), failure.what());
    } catch (const std::bad_alloc&) {
        return detail::report(error, HT_NO_MEMORY, "out of memory");
    } catch (const std::exception& problem) {
        return detail::report(error, HT_FAILED, problem.what());
    }
}

CUdeviceptr address(const void* at) {
    return reinterpret_cast<CUdeviceptr>(at);
}

struct Stream {
    CUstream stream = nullptr;
    std::unique_ptr<Linear> linear;  // made when first needed: it takes memory and time
};

struct Module {
    const Driver& driver;
    CUlibrary library = nullptr;
    std::mutex mutex;
    std::unordered_map<std::string, CUkernel> kernels;

    ~Module() {
        if (library) driver.cuLibraryUnload(library);
    }
    CUkernel kernel(const char* name) {
        const std::lock_guard lock(mutex);
        CUkernel& found = kernels[name];
        if (!found)
            if (const CUresult result = driver.cuLibraryGetKernel(&found, library, name);
                result != CUDA_SUCCESS) {
                kernels.erase(name);
                if (result == CUDA_ERROR_NOT_FOUND)
                    throw Failure(HT_REFUSED, std::string("the image has no kernel '") + name + "'");
                driver.check(result, "finding a kernel");
            }
        return found;
    }
};

class Device {
  public:
    explicit Device(uint32_t index) : driver_(Driver::get()) {
        driver_.check(driver_.cuDeviceGet(&device_, static_cast<int>(index)), "opening a device");
        driver_.check(driver_.cuDevicePrimaryCtxRetain(&context_, device_), "opening a device");
        enter();
        try {
            kernels_ = std::make_unique<OwnKernels>(driver_);
        } catch (...) {
            driver_.cuDevicePrimaryCtxRelease(device_);
            throw;
        }
    }
    ~Device() {
        driver_.cuCtxSetCurrent(context_);
        modules_.clear();
        kernels_.reset();
        driver_.cuDevicePrimaryCtxRelease(device_);
    }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    // Any thread of the host may call: each call makes this device its own.
    const Driver& enter() const {
        driver_.check(driver_.cuCtxSetCurrent(context_), "turning to a device");
        return driver_;
    }

    void* buffer(uint64_t bytes, int32_t place) {
        const Driver& driver = enter();
        if (place == HT_PLACE_PINNED) {
            void* at = nullptr;
            driver.check(driver.cuMemHostAlloc(&at, bytes ? bytes : 1, CU_MEMHOSTALLOC_PORTABLE),
                         "taking pinned memory");
            const std::lock_guard lock(mutex_);
            pinned_.push_back(at);
            return at;
        }
        CUdeviceptr at = 0;
        driver.check(driver.cuMemAlloc(&at, bytes ? bytes : 1), "taking device memory");
        return reinterpret_cast<void*>(at);  // NOLINT(performance-no-int-to-ptr)
    }

    void drop(void* buffer) {
        if (!buffer) return;
        const Driver& driver = enter();
        {
            const std::lock_guard lock(mutex_);
            const auto found = std::ranges::find(pinned_, buffer);
            if (found == pinned_.end()) {
                driver.cuMemFree(address(buffer));
                return;
            }
            pinned_.erase(found);
        }
        driver.cuMemFreeHost(buffer);
    }

    Module* load(const void* image, uint64_t bytes) {
        const Driver& driver = enter();
        const std::lock_guard lock(mutex_);
        std::unique_ptr<Module>& module = modules_[{image, bytes}];
        if (!module) {
            auto made = std::unique_ptr<Module>(new Module{driver, nullptr, {}, {}});
            driver.check(
                driver.cuLibraryLoadData(&made->library, image, nullptr, nullptr, 0, nullptr, nullptr, 0),
                "loading an image of kernels");
            module = std::move(made);
        }
        return module.get();
    }

    Linear& linear(Stream& stream) {
        const Driver& driver = enter();
        if (!stream.linear) stream.linear = std::make_unique<Linear>(driver, *kernels_, stream.stream);
        return *stream.linear;
    }

  private:
    const Driver& driver_;
    CUdevice device_ = 0;
    CUcontext context_ = nullptr;
    std::unique_ptr<OwnKernels> kernels_;
    std::mutex mutex_;  // what follows
    std::map<std::pair<const void*, uint64_t>, std::unique_ptr<Module>> modules_;
    std::vector<void*> pinned_;
};

Device& device_of(void* device) {
    return *static_cast<Device*>(device);
}
Stream& stream_of(void* stream) {
    return *static_cast<Stream*>(stream);
}

// ------------------------------------------------------------------------------------------------ the table
ht_status list(uint32_t i, ht_device_info* out, ht_error* error) noexcept {
    return reported(error, [&] {
        const Driver& driver = Driver::get();
        int count = 0;
        driver.check(driver.cuDeviceGetCount(&count), "counting devices");
        if (count == 0) throw Failure(HT_REFUSED, "the NVIDIA driver is there, but no device");
        if (i >= static_cast<uint32_t>(count))
            throw Failure(HT_REFUSED, "there are " + std::to_string(count) + " devices");
        struct Known {
            char name[128];
        };
        static std::mutex mutex;
        static std::map<uint32_t, Known> names;
        CUdevice device = 0;
        size_t memory = 0;
        int units = 0;
        driver.check(driver.cuDeviceGet(&device, static_cast<int>(i)), "looking at a device");
        driver.check(driver.cuDeviceTotalMem(&memory, device), "looking at a device");
        driver.check(driver.cuDeviceGetAttribute(&units, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device),
                     "looking at a device");
        // Free memory is known to a device in use alone.
        CUcontext context = nullptr;
        size_t free_memory = 0, all = 0;
        driver.check(driver.cuDevicePrimaryCtxRetain(&context, device), "looking at a device");
        CUresult result = driver.cuCtxSetCurrent(context);
        if (result == CUDA_SUCCESS) result = driver.cuMemGetInfo(&free_memory, &all);
        driver.cuDevicePrimaryCtxRelease(device);
        driver.check(result, "looking at a device");
        const std::lock_guard lock(mutex);
        Known& known = names[i];
        driver.check(driver.cuDeviceGetName(known.name, sizeof known.name, device), "looking at a device");
        out->units = static_cast<uint32_t>(units);
        out->name = known.name;
        out->memory_bytes = memory;
        out->free_bytes = free_memory;
    });
}

ht_status open(uint32_t i, void** device, ht_error* error) noexcept {
    return reported(error, [&] { *device = std::make_unique<Device>(i).release(); });
}

void close(void* device) noexcept {
    delete static_cast<Device*>(device);
}

ht_status buffer(void* device, uint64_t bytes, int32_t place, void** out, ht_error* error) noexcept {
    return reported(error, [&] { *out = device_of(device).buffer(bytes, place); });
}

void drop(void* device, void* buffer) noexcept {
    ht_error ignored{};
    reported(&ignored, [&] { device_of(device).drop(buffer); });
}

ht_status stream(void* device, void** out, ht_error* error) noexcept {
    return reported(error, [&] {
        const Driver& driver = device_of(device).enter();
        auto made = std::make_unique<Stream>();
        driver.check(driver.cuStreamCreate(&made->stream, CU_STREAM_NON_BLOCKING), "making a stream");
        *out = made.release();
    });
}

void end(void* device, void* stream) noexcept {
    ht_error ignored{};
    reported(&ignored, [&] {
        const std::unique_ptr<Stream> owned(&stream_of(stream));
        const Driver& driver = device_of(device).enter();
        driver.cuStreamSynchronize(owned->stream);
        owned->linear.reset();
        driver.cuStreamDestroy(owned->stream);
    });
}

ht_status copy(void* device, void* stream, void* to, const void* from, uint64_t bytes,
               ht_error* error) noexcept {
    return reported(error, [&] {
        const Driver& driver = device_of(device).enter();
        if (bytes > 0)
            driver.check(driver.cuMemcpyAsync(address(to), address(from), bytes, stream_of(stream).stream),
                         "copying");
    });
}

ht_status fill(void* device, void* stream, void* to, uint8_t byte, uint64_t bytes, ht_error* error) noexcept {
    return reported(error, [&] {
        const Driver& driver = device_of(device).enter();
        if (bytes > 0)
            driver.check(driver.cuMemsetD8Async(address(to), byte, bytes, stream_of(stream).stream),
                         "filling");
    });
}

ht_status load(void* device, const void* image, uint64_t bytes, void** module, ht_error* error) noexcept {
    return reported(error, [&] { *module = device_of(device).load(image, bytes); });
}

ht_status launch(void* device, void* stream, void* module, const char* kernel, uint64_t blocks,
                 const void* args, uint64_t, ht_error* error) noexcept {
    return reported(error, [&] {
        const Driver& driver = device_of(device).enter();
        CUkernel found = static_cast<Module*>(module)->kernel(kernel);
        void* all[] = {const_cast<void*>(args)};
        constexpr uint64_t most_blocks = INT32_MAX;
        driver.check(
            driver.cuLaunchKernel(reinterpret_cast<CUfunction>(found),
                                  static_cast<unsigned>(std::clamp<uint64_t>(blocks, 1, most_blocks)), 1, 1,
                                  HT_KERNEL_THREADS, 1, 1, 0, stream_of(stream).stream, all, nullptr),
            "launching a kernel");
    });
}

ht_status linear(void* device, void* stream, int32_t what, const void* args, ht_error* error) noexcept {
    return reported(error, [&] {
        Linear& linear = device_of(device).linear(stream_of(stream));
        switch (what) {
            case HT_LINEAR_GEMM:
                return linear.gemm(*static_cast<const ht_linear_gemm*>(args));
            case HT_LINEAR_FACTOR:
                return linear.factor(*static_cast<const ht_linear_factor*>(args));
            case HT_LINEAR_SVD:
                return linear.svd(*static_cast<const ht_linear_svd*>(args));
            default:
                throw Failure(HT_REFUSED, "there is no linear algebra of number " + std::to_string(what));
        }
    });
}

ht_status wait(void* device, void* stream, ht_error* error) noexcept {
    return reported(error, [&] {
        const Driver& driver = device_of(device).enter();
        driver.check(driver.cuStreamSynchronize(stream_of(stream).stream), "work on the device");
    });
}

const void* extension(const char* id) noexcept {
    static const ht_kernels kernels = all_kernels(kernel_image(HALFTONE_IMAGE(device_kernels)));
    return std::string_view(id) == HT_DEVICE_KERNELS ? &kernels : nullptr;
}

constexpr ht_device table = {sizeof(ht_device),
                             0,
                             list,
                             open,
                             close,
                             buffer,
                             drop,
                             stream,
                             end,
                             copy,
                             fill,
                             load,
                             launch,
                             linear,
                             wait,
                             extension};

}  // namespace
}  // namespace halftone::cuda

HT_PLUGIN = {sizeof(ht_plugin),
             HT_KIND_DEVICE,
             0,
             0,
             "cuda",
             "1.0.0",
             "NVIDIA devices, through their driver, cuBLAS and cuSOLVER",
             "MIT",
             nullptr,
             0,
             &halftone::cuda::table,
             halftone::detail::keep_host,
             halftone::detail::drop_host};
