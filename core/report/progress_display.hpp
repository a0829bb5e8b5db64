#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/base/log.hpp"
#include "core/run/progress.hpp"

namespace halftone {

// Shows a run's progress from a thread of its own: a line that redraws itself on a terminal, now and then a
// plain line elsewhere, an event a second as JSON, nothing if quiet.
class ProgressDisplay {
  public:
    enum class Style { none, line, plain, json };
    ProgressDisplay(Log&, const Progress&, Style, int width);
    ~ProgressDisplay();  // takes the line away
    ProgressDisplay(const ProgressDisplay&) = delete;
    ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  private:
    void show();

    Log& log_;
    const Progress& progress_;
    const Style style_;
    const int width_;
    const double started_;
    double last_shown_ = 0;
    bool stop_ = false;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::thread thread_;
};

// "412/780 tensors  12.1/23.8 GiB  1.9 GiB/s  ETA 6 s", with a bar in front if there is room.
std::string progress_text(const Progress&, double seconds, int width);

}  // namespace halftone
