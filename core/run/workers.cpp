#include "core/run/workers.hpp"

#include <atomic>
#include <tbb/blocked_range.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "core/base/error.hpp"
#include "core/base/handover.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/process.hpp"
#include "core/run/memory_gate.hpp"

namespace halftone {
namespace {

void stop_if_interrupted() {
    if (os::interrupted())
        throw Error(Exit::interrupted, "", "interrupted; nothing was written under the output's name");
}

}  // namespace

struct Workers::State {
    State(unsigned threads, uint64_t memory_budget, std::shared_ptr<DeviceLanes> device)
        : limit(tbb::global_control::max_allowed_parallelism, threads),
          arena(static_cast<int>(threads)),
          memory(memory_budget),
          // Jobs and bands draw on separate shares: a job that waits for memory must not keep a band from its
          // own.
          jobs(memory_budget / 2),
          bands(memory_budget / 2),
          lanes(std::move(device)) {}

    tbb::global_control limit;
    tbb::task_arena arena;
    uint64_t memory;
    MemoryGate jobs, bands;
    std::shared_ptr<DeviceLanes> lanes;
    tbb::enumerable_thread_specific<Scratch> scratch;
};

Workers::Workers(Settings settings)
    : state_(std::make_unique<State>(settings.threads ? settings.threads : os::processors(),
                                     settings.memory ? settings.memory : default_memory,
                                     std::move(settings.lanes))) {}

Workers::~Workers() = default;

unsigned Workers::threads() const {
    return static_cast<unsigned>(state_->arena.max_concurrency());
}
uint64_t Workers::memory() const {
    return state_->memory;
}

DeviceLanes* Workers::lanes() const {
    return state_->lanes.get();
}

void Workers::each_job(uint64_t n, const std::function<void(uint64_t)>& job) {
    std::atomic<uint64_t> next = 0;
    state_->arena.execute([&] {
        tbb::task_group group;
        Handover handover;
        const auto worker = [&] {
            const Handover::Task task(handover);
            while (!tbb::is_current_task_group_canceling()) {
                const uint64_t i = next.fetch_add(1);
                if (i >= n) return;
                stop_if_interrupted();
                job(i);
            }
        };
        for (unsigned i = 0; i < threads() && i < n; ++i)
            group.run(worker);
        group.wait();
    });
}

void Workers::each_band(uint64_t n, uint64_t bytes, const std::function<void(uint64_t, Scratch&)>& band) {
    Handover handover;
    const char* const subject = os::Subject::current();
    const auto work = [&](const tbb::blocked_range<uint64_t>& range) {
        const Handover::Task task(handover);
        const os::Subject::Shared about(subject);
        for (uint64_t i = range.begin(); i != range.end(); ++i) {
            stop_if_interrupted();
            const MemoryGate::Pass pass(state_->bands, bytes);
            Scratch& scratch = state_->scratch.local();
            band(i, scratch);
            // An unusually wide matrix must not leave its buffers behind in every thread.
            constexpr uint64_t worth_keeping = 8u << 20;
            if (bytes > worth_keeping) scratch = {};
        }
    };
    // Isolated: while this job waits for its last bands, its thread must not start another job on top of it.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(tbb::blocked_range<uint64_t>(0, n), work, tbb::simple_partitioner()); });
    // Another job has failed, and its exception is the one that counts: bands of this one were left out
    // quietly.
    if (tbb::is_current_task_group_canceling()) throw Error(Exit::interrupted, "", "stopped with the rest");
}

std::shared_ptr<void> Workers::reserve(uint64_t bytes) {
    return std::make_shared<MemoryGate::Pass>(state_->jobs, bytes);
}

std::span<std::byte> Scratch::sized(AlignedBytes& buffer, size_t bytes) {
    if (buffer.size() < bytes) buffer = AlignedBytes(bytes);
    return buffer.bytes().first(bytes);
}

}  // namespace halftone
