#include "core/run/workers.hpp"

#include <mutex>
#include <optional>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "core/base/error.hpp"
#include "core/base/handover.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"

namespace halftone {
namespace {

void stop_if_interrupted() {
    if (os::interrupted())
        throw Error(Exit::interrupted, "", "interrupted; nothing was written under the output's name");
}

}  // namespace

struct Workers::State {
    State(unsigned threads, uint64_t budget, bool limit_was_set, std::shared_ptr<DeviceLanes> device)
        : limit(tbb::global_control::max_allowed_parallelism, threads),
          arena(static_cast<int>(threads)),
          memory(budget),
          is_limit(limit_was_set),
          gate(budget, threads),
          lanes(std::move(device)) {}

    tbb::global_control limit;
    tbb::task_arena arena;
    uint64_t memory;
    bool is_limit;
    MemoryGate gate;
    std::shared_ptr<DeviceLanes> lanes;
    std::function<void()> start_more;  // jobs for which there may be room now
};

Workers::Workers(Settings settings)
    : state_(std::make_unique<State>(settings.threads ? settings.threads : os::processors(),
                                     settings.memory ? settings.memory : default_memory, settings.memory > 0,
                                     std::move(settings.lanes))) {}

Workers::~Workers() = default;

unsigned Workers::threads() const {
    return static_cast<unsigned>(state_->arena.max_concurrency());
}
uint64_t Workers::memory() const {
    return state_->memory;
}
bool Workers::memory_is_limit() const {
    return state_->is_limit;
}

DeviceLanes* Workers::lanes() const {
    return state_->lanes.get();
}

void Workers::require_room(const std::string& name, const JobMemory& memory) const {
    if (state_->is_limit && memory.least() > state_->memory)
        refuse_memory(name, memory.least(), state_->memory);
}

void Workers::each_job(uint64_t n, const Need& need, const Job& job) {
    state_->arena.execute([&] {
        tbb::task_group group;
        Handover handover;
        std::mutex mutex;
        uint64_t next = 0;
        uint64_t gone = 0;  // workers that found no room for the next job, and do the bands of others
        std::optional<JobMemory> wanted;  // by the next job

        const auto start_next = [&](uint64_t& i) {
            const std::lock_guard lock(mutex);
            std::unique_ptr<Share> share;
            if (next >= n) return share;
            if (!wanted) wanted = need(next);
            require_room("", *wanted);
            share = state_->gate.try_enter(*wanted);
            if (!share) {
                ++gone;
                return share;
            }
            i = next++;
            wanted.reset();
            return share;
        };
        std::function<void()> worker;
        const auto start_more = [&] {
            const std::lock_guard lock(mutex);
            if (gone == 0 || next >= n) return;
            --gone;
            group.run(worker);
        };
        worker = [&] {
            const Handover::Task task(handover);
            while (!tbb::is_current_task_group_canceling()) {
                stop_if_interrupted();
                uint64_t i = 0;
                std::unique_ptr<Share> share = start_next(i);
                if (!share) return;
                start_more();
                job(i, *share);
                share.reset();
                start_more();
            }
        };
        state_->start_more = start_more;
        const std::shared_ptr<void> until_all_are_done(nullptr, [&](void*) { state_->start_more = nullptr; });
        for (unsigned i = 0; i < threads() && i < n; ++i)
            group.run(worker);
        group.wait();
    });
}

void Workers::each_band(Share& share, uint64_t n, const std::function<void(uint64_t, Scratch&)>& band) {
    Handover handover;
    const char* const subject = os::Subject::current();
    const auto work = [&](const tbb::blocked_range<uint64_t>& range) {
        const Handover::Task task(handover);
        const os::Subject::Shared about(subject);
        for (uint64_t i = range.begin(); i != range.end(); ++i) {
            stop_if_interrupted();
            MemoryGate::Band memory(state_->gate, share,
                                    static_cast<size_t>(tbb::this_task_arena::current_thread_index()));
            band(i, memory.scratch());
        }
    };
    // Isolated: while this job waits for its last bands, its thread must not start another job on top of it.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(tbb::blocked_range<uint64_t>(0, n), work, tbb::simple_partitioner()); });
    // Another job has failed, and its exception is the one that counts: bands of this one were left out
    // quietly.
    if (tbb::is_current_task_group_canceling()) throw Error(Exit::interrupted, "", "stopped with the rest");
    // What this job's bands took may be enough for another job.
    if (state_->start_more) state_->start_more();
}

void refuse_memory(const std::string& name, uint64_t least, uint64_t limit) {
    constexpr uint64_t mebibyte = 1u << 20;
    const uint64_t enough = least / mebibyte + (least % mebibyte != 0);
    throw Error(Exit::space, name,
                fmt::format("needs {} MiB at a time, and [run] memory is {} MiB", text::grouped(enough),
                            text::grouped(limit / mebibyte)),
                fmt::format("raise it with --memory {}MiB, or keep the tensor with a [[rule]]", enough));
}

}  // namespace halftone
