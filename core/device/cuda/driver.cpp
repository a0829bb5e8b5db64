#include "driver.hpp"

#include <dlfcn.h>

namespace halftone::cuda {
namespace {

constexpr int oldest_driver = 12000;  // cuLibrary...

Driver load() {
    static constexpr const char* names[] = {"libcuda.so.1", nullptr};
    void* const library = open_library(names, "NVIDIA driver");
    Driver driver{};
    // cuda.h names the newest variant of a function by a macro; its name is what is looked up.
#define HALFTONE_NAME_OF(function) #function
#define HALFTONE_LOOK_UP(function) \
    driver.function = reinterpret_cast<decltype(&::function)>(symbol(library, HALFTONE_NAME_OF(function)));
    HALFTONE_DRIVER_FUNCTIONS(HALFTONE_LOOK_UP)
#undef HALFTONE_LOOK_UP
#undef HALFTONE_NAME_OF
    int version = 0;
    if (driver.cuDriverGetVersion(&version) != CUDA_SUCCESS || version < oldest_driver)
        throw Failure(HT_REFUSED, "the NVIDIA driver speaks CUDA " + std::to_string(version / 1000) + "." +
                                      std::to_string(version % 1000 / 10) + ", and 12.0 is needed");
    if (const CUresult result = driver.cuInit(0); result != CUDA_SUCCESS) {
        const char* text = nullptr;
        driver.cuGetErrorString(result, &text);
        throw Failure(HT_REFUSED, std::string("the NVIDIA driver does not start: ") + (text ? text : "?"));
    }
    return driver;
}

ht_status class_of(CUresult result) {
    switch (result) {
        case CUDA_ERROR_OUT_OF_MEMORY:
            return HT_DEVICE_OUT_OF_MEMORY;
        case CUDA_ERROR_NOT_FOUND:
        case CUDA_ERROR_NO_BINARY_FOR_GPU:
        case CUDA_ERROR_INVALID_IMAGE:
        case CUDA_ERROR_INVALID_PTX:
        case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
            return HT_REFUSED;
        case CUDA_ERROR_INVALID_VALUE:
            return HT_FAILED;
        default:  // after a fault in a kernel every call fails, whatever it is
            return HT_DEVICE_LOST;
    }
}

}  // namespace

const Driver& Driver::get() {
    static const Driver driver = load();  // tried again after a failure
    return driver;
}

void Driver::check(CUresult result, const char* doing) const {
    if (result == CUDA_SUCCESS) return;
    const char* text = nullptr;
    cuGetErrorString(result, &text);
    throw Failure(class_of(result),
                  std::string(doing) + " failed: " + (text ? text : "error " + std::to_string(result)));
}

void* open_library(const char* const* names, const char* what) {
    std::string tried;
    for (; *names; ++names) {
        if (void* const library = dlopen(*names, RTLD_NOW | RTLD_LOCAL)) return library;
        tried += (tried.empty() ? "" : ", ") + std::string(*names);
    }
    throw Failure(HT_REFUSED,
                  std::string("there is no ") + what + " on this machine (looked for " + tried + ")");
}

void* symbol(void* library, const char* name) {
    if (void* const found = dlsym(library, name)) return found;
    throw Failure(HT_REFUSED, std::string("a library of CUDA is too old: it has no ") + name);
}

}  // namespace halftone::cuda
