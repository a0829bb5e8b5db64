#include "core/linalg/tiles.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include "core/base/error.hpp"
#include "core/base/handover.hpp"
#include "core/base/os/foreign_call.hpp"

namespace halftone {

void each_tile(uint64_t n, const std::function<void(uint64_t)>& work) {
    if (n == 1) return work(0);
    Handover handover;
    const char* const subject = os::Subject::current();
    const auto run = [&](const tbb::blocked_range<uint64_t>& range) {
        const Handover::Task task(handover);
        const os::Subject::Shared about(subject);
        for (uint64_t i = range.begin(); i != range.end(); ++i)
            work(i);
    };
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(tbb::blocked_range<uint64_t>(0, n), run, tbb::simple_partitioner()); });
    // Something beside this has failed, and tiles of this were left out quietly.
    if (tbb::is_current_task_group_canceling()) throw Error(Exit::interrupted, "", "stopped with the rest");
}

}  // namespace halftone
