#pragma once

#include <atomic>
#include <cstdint>

namespace halftone {

// How far a run has come, for whoever shows it. Work is counted in source bytes read, every pass over a
// tensor included, so that the share done is also the share of the time.
struct Progress {
    uint64_t work_total = 0, tensors_total = 0;  // fixed before the run starts
    uint64_t bytes_total = 0;                    // of the tensors, each counted once: what people know
    std::atomic<uint64_t> work_done = 0, tensors_done = 0;
};

}  // namespace halftone
