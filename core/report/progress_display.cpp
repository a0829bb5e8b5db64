#include "core/report/progress_display.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>

#include "core/base/os/process.hpp"
#include "core/base/text.hpp"

namespace halftone {

std::string progress_text(const Progress& progress, double seconds, int width) {
    const auto done = static_cast<double>(progress.work_done.load());
    const auto total = static_cast<double>(std::max<uint64_t>(progress.work_total, 1));
    const double share = std::min(done / total, 1.0);
    // An estimate from the first instants would only be wrong.
    const bool known = seconds > 0.5 && share > 0.01;
    const double bytes = share * static_cast<double>(progress.bytes_total);
    const double rate = seconds > 0 ? bytes / seconds : 0;
    std::string text = fmt::format(
        "{:3.0f}%  {}/{} tensors  {}/{}  {}/s", std::floor(share * 100), progress.tensors_done.load(),
        progress.tensors_total, text::bytes(static_cast<uint64_t>(bytes)), text::bytes(progress.bytes_total),
        text::bytes(static_cast<uint64_t>(rate)));
    if (known && share < 1) text += "  ETA " + text::duration(seconds * (1 - share) / share);
    constexpr int least_bar = 10, most_bar = 30;
    const int bar = std::min(width - static_cast<int>(text.size()) - 4, most_bar);
    if (bar < least_bar) return text;
    const int filled = static_cast<int>(share * bar);
    return fmt::format("[{:#<{}}{:.<{}}] {}", "", filled, "", bar - filled, text);
}

ProgressDisplay::ProgressDisplay(Log& log, const Progress& progress, Style style, int width)
    : log_(log), progress_(progress), style_(style), width_(width), started_(os::seconds()) {
    if (style_ == Style::none) return;
    thread_ = std::thread([this] {
        std::unique_lock lock(mutex_);
        while (!wake_.wait_for(lock, std::chrono::milliseconds(100), [this] { return stop_; }))
            show();
    });
}

ProgressDisplay::~ProgressDisplay() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (style_ == Style::line) log_.progress_line("");
}

void ProgressDisplay::show() {
    const double now = os::seconds() - started_;
    constexpr double plain_interval = 10, json_interval = 1;
    switch (style_) {
        case Style::line:
            log_.progress_line(progress_text(progress_, now, width_));
            break;
        case Style::plain:
            if (now - last_shown_ >= plain_interval) {
                last_shown_ = now;
                log_.info(progress_text(progress_, now, 0));
            }
            break;
        case Style::json:
            if (now - last_shown_ >= json_interval) {
                last_shown_ = now;
                log_.event("progress",
                           fmt::format("\"tensors_done\": {}, \"tensors_total\": {}, \"work_done\": {}, "
                                       "\"work_total\": {}, \"seconds\": {:.3f}",
                                       progress_.tensors_done.load(), progress_.tensors_total,
                                       progress_.work_done.load(), progress_.work_total, now));
            }
            break;
        case Style::none:
            break;
    }
}

}  // namespace halftone
