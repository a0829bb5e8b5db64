#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <vector>

#include "core/base/cpu.hpp"
#include "core/base/log.hpp"
#include "core/device/device.hpp"
#include "core/linalg/matrix.hpp"
#include "plugins/registry.hpp"

namespace halftone::device_test {

// The plugins beside the test, or in HALFTONE_PLUGIN_PATH.
inline Registry& registry() {
    static Log log{Log::Settings{}};
    static Registry registry(PluginFolders::standard({}), std::make_shared<PluginHost>(log, cpu::level()));
    return registry;
}

// The first device of this machine; a test without one is skipped, with the reason.
inline const DeviceChoice& machine() {
    static const DeviceChoice choice = choose_device(registry(), "auto", "");
    return choice;
}

#define NEEDS_DEVICE()                            \
    if (!halftone::device_test::machine().device) \
    GTEST_SKIP() << "no device: " << halftone::device_test::machine().why

inline Matrix random_matrix(uint64_t rows, uint64_t cols, uint32_t seed, float size = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, size);
    Matrix result(rows, cols);
    for (uint64_t i = 0; i < rows * cols; ++i)
        result.data()[i] = normal(random);
    return result;
}

inline DeviceBuffer uploaded(DeviceStream& stream, const Matrix& from) {
    DeviceBuffer to(machine().device, from.rows() * from.cols() * sizeof(float));
    stream.copy(to.data(), from.data(), to.size());
    stream.wait();
    return to;
}

inline Matrix downloaded(DeviceStream& stream, const DeviceBuffer& from, uint64_t rows, uint64_t cols) {
    Matrix to(rows, cols);
    stream.copy(to.data(), from.data(), rows * cols * sizeof(float));
    stream.wait();
    return to;
}

}  // namespace halftone::device_test
