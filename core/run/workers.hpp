#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/base/aligned.hpp"

namespace halftone {

class DeviceLanes;

// Buffers of one thread, reused from band to band.
struct Scratch {
    AlignedBytes source, values, encoded;

    static std::span<std::byte> sized(AlignedBytes&, size_t bytes);
};

// The threads of a run and its memory. Jobs run side by side, and the bands of one job too; a band's work
// gets a scratch and must not wait for other work.
class Workers {
  public:
    struct Settings {
        unsigned threads = 0;                          // 0: all processors
        uint64_t memory = 0;                           // for bands and jobs; 0: default_memory
        std::shared_ptr<DeviceLanes> lanes = nullptr;  // of a device beside the CPU
    };
    static constexpr uint64_t default_memory = 160u << 20;

    explicit Workers(Settings);
    ~Workers();

    unsigned threads() const;
    uint64_t memory() const;
    DeviceLanes* lanes() const;  // null: there is only the CPU

    // Calls job(i) for every i < n, starting in order. The first exception stops the rest and is thrown here.
    void each_job(uint64_t n, const std::function<void(uint64_t)>& job);

    // Within a job: calls band(i, scratch) for every i < n. `bytes` is what one call needs.
    void each_band(uint64_t n, uint64_t bytes, const std::function<void(uint64_t, Scratch&)>& band);

    // Reserves what a job holds for as long as it lasts.
    std::shared_ptr<void> reserve(uint64_t bytes);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace halftone
