#include "core/base/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fmt/format.h>
#include <mutex>

#include "core/base/json.hpp"
#include "core/base/os/process.hpp"
#include "core/base/printable.hpp"
#include "core/base/text.hpp"
#include "core/base/utf8.hpp"

namespace halftone {

namespace {

constexpr int standard_error = 2;
constexpr const char* take_line_away = "\r\x1b[K";

const char* level_name(Level level) {
    switch (level) {
        case Level::debug:
            return "debug";
        case Level::info:
            return "info";
        case Level::warning:
            return "warning";
        case Level::error:
            return "error";
    }
    return "error";
}

const char* level_color(Level level) {
    switch (level) {
        case Level::debug:
            return "\x1b[2m";  // dim
        case Level::info:
            return "";
        case Level::warning:
            return "\x1b[1;33m";  // bold yellow
        case Level::error:
            return "\x1b[1;31m";  // bold red
    }
    return "";
}

std::string json_text(std::string_view text) {
    return in_one_line(Json(std::string(text)));
}

// The first `width` characters: a progress line that wraps could not be taken away.
std::string_view cut_to_width(std::string_view text, int width) {
    std::string_view rest = text;
    for (int i = 0; i < width && !rest.empty(); ++i)
        rest.remove_prefix(utf8_step(rest).bytes);
    return text.substr(0, text.size() - rest.size());
}

}  // namespace

struct Log::State {
    Settings settings;
    bool shows_progress = false;
    std::mutex mutex;  // of everything below, and of standard error
    std::string progress;

    // One call, so that lines of several processes on one terminal stay whole.
    void print(const std::string& text) {
        errno = 0;
        std::fwrite(text.data(), 1, text.size(), stderr);
        std::fflush(stderr);
        // Who closes the pipe has gone; work for them ends as it does for SIGPIPE, but cleans up after
        // itself.
        if (errno == EPIPE) os::interrupt();
    }

    void print_line(std::string line) {
        line += '\n';
        const std::lock_guard lock(mutex);
        print(progress.empty() ? line : take_line_away + line + progress);
    }
};

Log::Log(Settings settings) : state_(std::make_unique<State>()) {
    state_->settings = settings;
    state_->shows_progress = settings.style == Style::human && os::is_terminal(standard_error);
}

Log::~Log() {
    progress_line("");
}

const Log::Settings& Log::settings() const {
    return state_->settings;
}

void Log::write(Level level, std::string_view text) {
    write(level, text, {});
}

void Log::write(Level level, std::string_view text, std::string_view below) {
    if (level < state_->settings.least) return;
    if (state_->settings.style == Style::json) {
        const std::string whole = below.empty() ? std::string(text) : fmt::format("{}\n{}", text, below);
        state_->print_line(std::string(R"({"level":")") + level_name(level) + R"(","text":)" +
                           json_text(whole) + "}");
        return;
    }
    std::string line;
    if (level != Level::info) {
        line = std::string(level_name(level)) + ":";
        if (state_->settings.color) line = level_color(level) + line + "\x1b[0m";
        line += ' ';
    }
    line += text::printable(text, std::string::npos);
    if (!below.empty()) line += "\n" + text::printable_lines(text::indented_lines(below));
    state_->print_line(line);
}

void Log::event(std::string_view name, std::string_view members) {
    if (state_->settings.style != Style::json) return;
    std::string line = R"({"event":)" + json_text(name);
    if (!members.empty()) line.append(",").append(members);
    state_->print_line(line + "}");
}

void Log::progress_line(std::string_view line) {
    if (!state_->shows_progress) return;
    const int width = os::terminal_width(standard_error);
    std::string visible = text::printable(line, std::string::npos);
    if (width > 1) visible = cut_to_width(visible, width - 1);  // a full line would wrap on some terminals
    const std::lock_guard lock(state_->mutex);
    if (visible.empty() && state_->progress.empty()) return;
    state_->progress = visible;
    state_->print(take_line_away + visible);
}

}  // namespace halftone
