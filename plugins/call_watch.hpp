#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "core/base/os/foreign_call.hpp"

namespace halftone {

class Log;

// A thread that looks at what plugins are doing. It says so when a call has not returned for a long time,
// and, after Ctrl-C, which call the program is waiting for.
class CallWatch {
  public:
    // Writes warnings. A long call is named after 30 s, then each time that its duration has doubled.
    explicit CallWatch(Log&);
    // Calls `overdue` once, from its own thread, for a call that has lasted longer than `seconds`.
    CallWatch(double seconds, std::function<void(const os::ActiveCall&)> overdue);
    ~CallWatch();
    CallWatch(const CallWatch&) = delete;
    CallWatch& operator=(const CallWatch&) = delete;

  private:
    void run(const std::function<void()>& look);

    std::mutex mutex_;
    std::condition_variable ended_;
    bool end_ = false;
    std::thread thread_;
};

}  // namespace halftone
