#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/run/memory_gate.hpp"

namespace halftone {

class DeviceLanes;

// The threads of a run and its memory. Jobs run side by side as far as the memory goes, and the bands of one
// job too; a band's work gets a scratch and must not wait for other work.
class Workers {
  public:
    struct Settings {
        unsigned threads = 0;                          // 0: all processors
        uint64_t memory = 0;                           // for all that jobs need; 0: default_memory
        std::shared_ptr<DeviceLanes> lanes = nullptr;  // of a device beside the CPU
    };
    static constexpr uint64_t default_memory = 160u << 20;

    explicit Workers(Settings);
    ~Workers();

    unsigned threads() const;
    uint64_t memory() const;
    bool memory_is_limit() const;  // it was given: nothing may need more
    DeviceLanes* lanes() const;    // null: there is only the CPU

    using Share = MemoryGate::Share;
    using Need = std::function<JobMemory(uint64_t)>;
    using Job = std::function<void(uint64_t, Share&)>;

    // Calls job(i, share) for every i < n, starting in order, as soon as what need(i) says is free. A job
    // that needs more than all of it runs alone, or is refused where the memory was asked for (Exit::space).
    // The first exception stops the rest and is thrown here.
    void each_job(uint64_t n, const Need& need, const Job& job);

    // Within a job: calls band(i, scratch) for every i < n, each with the memory of a band of the share.
    void each_band(Share&, uint64_t n, const std::function<void(uint64_t, Scratch&)>& band);

    // Exit::space if the memory is a limit and this is more; `name`: of what needs it.
    void require_room(const std::string& name, const JobMemory&) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// How a lack of memory is told: `least` bytes for `name`, of `limit`.
[[noreturn]] void refuse_memory(const std::string& name, uint64_t least, uint64_t limit);

}  // namespace halftone
