#include "plugins/call_watch.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <utility>

#include "core/base/log.hpp"
#include "core/base/os/process.hpp"

namespace halftone {
namespace {

constexpr std::chrono::milliseconds between_looks{250};
constexpr double first_warning = 30, patience_after_interrupt = 1;

class Warnings {
  public:
    explicit Warnings(Log& log) : log_(log) {}

    void look() {
        const std::vector<os::ActiveCall> calls = os::active_calls();
        warn_of_long_calls(calls);
        if (os::interrupted()) explain_waiting(calls);
    }

  private:
    void warn_of_long_calls(const std::vector<os::ActiveCall>& calls) {
        const auto longest = std::ranges::find_if(calls, &os::ActiveCall::limited);
        if (longest == calls.end() || longest->seconds < first_warning) {
            next_ = first_warning;
            return;
        }
        if (longest->seconds < next_) return;
        log_.warning(fmt::format("{} has been {} for {:.0f} s and has not returned", longest->culprit,
                                 longest->doing(), longest->seconds));
        while (next_ <= longest->seconds)
            next_ *= 2;
    }

    // Most work ends at once, and then there is nothing to say.
    void explain_waiting(const std::vector<os::ActiveCall>& calls) {
        const double now = os::seconds();
        if (interrupted_at_ < 0) interrupted_at_ = now;
        if (explained_ || now - interrupted_at_ < patience_after_interrupt) return;
        explained_ = true;
        log_.warning(calls.empty() ? "stopping when the work under way is done; Ctrl-C again to stop at once"
                                   : fmt::format("stopping when {} {}; Ctrl-C again to stop at once",
                                                 calls.front().culprit, calls.front().returning()));
    }

    Log& log_;
    double next_ = first_warning, interrupted_at_ = -1;
    bool explained_ = false;
};

}  // namespace

CallWatch::CallWatch(Log& log)
    : thread_([this, warnings = std::make_shared<Warnings>(log)] { run([&] { warnings->look(); }); }) {}

CallWatch::CallWatch(double seconds, std::function<void(const os::ActiveCall&)> overdue)
    : thread_([this, seconds, overdue = std::move(overdue), done = false]() mutable {
          run([&] {
              for (const os::ActiveCall& call : os::active_calls())
                  if (!done && call.limited && call.seconds > seconds) {
                      done = true;
                      overdue(call);
                  }
          });
      }) {}

CallWatch::~CallWatch() {
    {
        const std::lock_guard lock(mutex_);
        end_ = true;
    }
    ended_.notify_one();
    thread_.join();
}

void CallWatch::run(const std::function<void()>& look) {
    std::unique_lock lock(mutex_);
    while (!ended_.wait_for(lock, between_looks, [&] { return end_; }))
        look();
}

}  // namespace halftone
