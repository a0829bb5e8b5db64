// The driver's functions, looked up when the first device is asked for: this library loads on machines
// without a driver, and then says so.
#pragma once

#include <cstdint>
#include <cuda.h>
#include <stdexcept>
#include <string>

#include <halftone/ext/draft/device.h>

namespace halftone::cuda {

// What goes wrong, with the class that the host acts on.
class Failure : public std::runtime_error {
  public:
    Failure(ht_status status, const std::string& what) : std::runtime_error(what), status_(status) {}
    ht_status status() const { return status_; }

  private:
    ht_status status_;
};

// clang-format off
#define HALFTONE_DRIVER_FUNCTIONS(X)                                                                          \
    X(cuInit) X(cuDriverGetVersion) X(cuGetErrorString) X(cuDeviceGetCount) X(cuDeviceGet) X(cuDeviceGetName) \
    X(cuDeviceTotalMem) X(cuDeviceGetAttribute) X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease)      \
    X(cuCtxSetCurrent) X(cuMemGetInfo) X(cuMemAlloc) X(cuMemFree) X(cuMemHostAlloc) X(cuMemFreeHost)          \
    X(cuStreamCreate) X(cuStreamDestroy) X(cuStreamSynchronize) X(cuMemcpyAsync) X(cuMemsetD8Async)           \
    X(cuLibraryLoadData) X(cuLibraryUnload) X(cuLibraryGetKernel) X(cuLaunchKernel)
// clang-format on

struct Driver {
#define HALFTONE_DRIVER_MEMBER(function) decltype(&::function) function;
    HALFTONE_DRIVER_FUNCTIONS(HALFTONE_DRIVER_MEMBER)
#undef HALFTONE_DRIVER_MEMBER

    // Throws Failure(HT_REFUSED) with the reason if there is no driver or it is too old.
    static const Driver& get();

    // Throws what a result stands for; `doing` completes "... failed".
    void check(CUresult, const char* doing) const;
};

// Every function of `library`, or a Failure(HT_REFUSED) that names the files it was looked for under.
void* open_library(const char* const* names, const char* what);
void* symbol(void* library, const char* name);

}  // namespace halftone::cuda
