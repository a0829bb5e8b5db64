#include "core/base/os/child.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "core/base/error.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/process.hpp"

namespace halftone::os {

namespace {

// Collects bytes and hands out whole lines; the last one needs no end.
class Lines {
  public:
    explicit Lines(const std::function<void(std::string_view)>& line) : line_(line) {}

    void add(std::string_view bytes) {
        held_ += bytes;
        size_t from = 0;
        for (size_t end; (end = held_.find('\n', from)) != std::string::npos; from = end + 1)
            line_(std::string_view(held_).substr(from, end - from));
        held_.erase(0, from);
    }
    void end() {
        if (!held_.empty()) line_(held_);
    }

  private:
    const std::function<void(std::string_view)>& line_;
    std::string held_;
};

}  // namespace

std::string ChildEnd::told() const {
    return signal ? fmt::format("signal {} ({})", signal, ::strsignal(signal))
                  : fmt::format("exit code {}", code);
}

ChildEnd in_child(const std::function<void(int)>& work, const std::function<void(std::string_view)>& line,
                  double limit) {
    int ends[2];
    if (::pipe(ends) != 0) fail(Exit::failed, "", "no pipe to a child process: {}", std::strerror(errno));
    const pid_t parent = ::getpid(), child = ::fork();
    if (child < 0) fail(Exit::failed, "", "a child process cannot be started: {}", std::strerror(errno));
    if (child == 0) {
        ::close(ends[0]);
#if defined(__linux__)
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) end_process(1);
#endif
        try {
            work(ends[1]);
        } catch (...) {
            end_process(1);
        }
        end_process(0);
    }
    ::close(ends[1]);
    Lines lines(line);
    ChildEnd end;
    const double until = seconds() + limit;
    // The plugin may have left the other end to a process of its own: what counts is that the child has
    // ended.
    char buffer[4096];
    const auto is_readable = [&](int milliseconds) {
        pollfd wait{ends[0], POLLIN, 0};
        return ::poll(&wait, 1, milliseconds) == 1;
    };
    const auto read_on = [&] {
        const ssize_t n = ::read(ends[0], buffer, sizeof buffer);
        if (n > 0) lines.add({buffer, static_cast<size_t>(n)});
        return n > 0 || (n < 0 && errno == EINTR);
    };
    for (bool open = true, alive = true; open && alive;) {
        if (is_readable(200)) {
            open = read_on();
        } else {
            siginfo_t info{};
            alive = ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                    info.si_pid == 0;
            // It may have said its last words since.
            while (!alive && is_readable(0) && read_on()) {
            }
        }
        if (limit > 0 && seconds() > until) {
            end.late = true;
            ::kill(child, SIGKILL);
            break;
        }
    }
    lines.end();
    ::close(ends[0]);
    int status = 0;
    // A child that has closed its end and goes on has its time, too.
    while (::waitpid(child, &status, limit > 0 && !end.late ? WNOHANG : 0) == 0) {
        if (seconds() > until) {
            end.late = true;
            ::kill(child, SIGKILL);
        }
        ::usleep(10'000);
    }
    if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    if (WIFEXITED(status)) end.code = WEXITSTATUS(status);
    return end;
}

void write_line(int descriptor, std::string text) {
    std::ranges::replace(text, '\n', ' ');
    text += '\n';
    for (std::string_view rest = text; !rest.empty();) {
        const ssize_t n = ::write(descriptor, rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        rest.remove_prefix(static_cast<size_t>(n));
    }
}

}  // namespace halftone::os

#if defined(__SANITIZE_THREAD__)
// A child with threads, made by a process with threads, is more than ThreadSanitizer vouches for; the other
// threads here are those of libraries, which wait.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {
    return "die_after_fork=0";
}
#endif
