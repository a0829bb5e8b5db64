#include "core/linalg/blas_call.hpp"

#include <algorithm>
#include <cblas.h>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <tbb/task_arena.h>
#include <thread>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/os/memory.hpp"
#include "core/base/os/process.hpp"

// The library's own functions, which it exports but declares nowhere. Without them (another BLAS) nothing is
// prepared.
extern "C" {
[[gnu::weak]] void* blas_memory_alloc(int);
[[gnu::weak]] void blas_memory_free(void*);

// Stands in for the library's own function of this name, which says what OPENBLAS_NUM_THREADS says. Threads
// of its own would choose another split of the work, and other bits, for another number of processors; and
// they are started when the library is loaded, with 128 MiB for each, or the process ends.
[[gnu::visibility("default")]] int openblas_num_threads_env() {
    return 1;
}
}

namespace halftone {
namespace {

// A buffer has 128 MiB of address space, of which little is touched. The rest is a distance: other threads
// may take memory between our question and the library's.
constexpr uint64_t enough_for_one = uint64_t{192} << 20;
constexpr uint64_t enough_for_another = uint64_t{640} << 20;  // what else a run needs has to fit beside it,
constexpr uint64_t for_each_thread = uint64_t{16} << 20;      // stacks too
constexpr unsigned most_buffers = 64;

// Ends the process where the distance was not enough and the library asks for ever: nothing else could end
// that.
class Watch {
  public:
    Watch() : thread_([this] { wait(); }) {}
    ~Watch() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        wake_.notify_all();
        thread_.join();
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

  private:
    void wait() {
        constexpr std::chrono::seconds patience(20);
        std::unique_lock lock(mutex_);
        if (!wake_.wait_for(lock, patience, [this] { return over_; }))
            os::end_at_once(Exit::space, "error: out of memory: products of matrices got no work memory\n");
    }
    std::mutex mutex_;
    std::condition_variable wake_;
    bool over_ = false;
    std::thread thread_;
};

class Buffers {
  public:
    void take() {
        std::unique_lock lock(mutex_);
        if (made_ == 0)
            free_ = made_ = make();  // nobody is in the library now: each gets a buffer of its own
        returned_.wait(lock, [this] { return free_ > 0; });
        --free_;
    }
    void give_back() {
        {
            const std::lock_guard lock(mutex_);
            ++free_;
        }
        returned_.notify_one();
    }

  private:
    static unsigned make() {
        openblas_set_num_threads(1);
        const auto arena = static_cast<unsigned>(std::max(1, tbb::this_task_arena::max_concurrency()));
        const unsigned wanted = std::min(std::max(arena, os::processors()), most_buffers);
        if (!blas_memory_alloc || !blas_memory_free) return wanted;
        std::vector<void*> held;
        held.reserve(wanted);
        try {
            const Watch watch;
            while (held.size() < wanted &&
                   os::could_reserve(held.empty() ? enough_for_one
                                                  : enough_for_another + wanted * for_each_thread))
                held.push_back(blas_memory_alloc(0));
        } catch (const std::system_error&) {  // there is not even memory for the thread that watches
        }
        for (void* const buffer : held)
            blas_memory_free(buffer);
        if (held.empty())
            throw Error(
                Exit::space, "", "out of memory: products of matrices got no work memory",
                "it takes 192 MiB of address space: raise the limit of the process (ulimit -v, ulimit -d)");
        return static_cast<unsigned>(held.size());
    }

    std::mutex mutex_;
    std::condition_variable returned_;
    unsigned made_ = 0, free_ = 0;
};

// Never destroyed: threads may be in the library until the process ends.
Buffers& buffers() {
    static auto* const buffers = new Buffers;
    return *buffers;
}

}  // namespace

BlasCall::BlasCall() {
    buffers().take();
}

BlasCall::~BlasCall() {
    buffers().give_back();
}

}  // namespace halftone
