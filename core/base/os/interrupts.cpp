#include <atomic>
#include <csignal>
#include <cstring>
#include <memory>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/memory.hpp"
#include "core/base/os/process.hpp"

namespace halftone::os {

namespace {

// A list that only grows, so that the signal handler may walk it at any moment, on any thread, without a
// lock.
struct Unfinished {
    std::string path;
    std::atomic<bool> armed;
    Unfinished* next;
};

std::atomic<Unfinished*> unfinished = nullptr;
std::atomic<int> signals_seen = 0;
static_assert(std::atomic<Unfinished*>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

// Absolute, because the process may change its folder before the handler runs.
std::string name_of(const std::filesystem::path& path) {
    return std::filesystem::absolute(path).lexically_normal().string();
}

Unfinished* find(const std::string& path) {
    for (Unfinished* entry = unfinished.load(); entry; entry = entry->next)
        if (entry->path == path) return entry;
    return nullptr;
}

// Only what POSIX allows inside a signal handler.
extern "C" void on_interrupt(int) {
    if (signals_seen.fetch_add(1) == 0) return;
    remove_unfinished();
    end_process(static_cast<int>(Exit::interrupted));
}

}  // namespace

void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    action.sa_flags = SA_RESTART;
    ::sigfillset(&action.sa_mask);
    ::signal(SIGXFSZ, SIG_IGN);  // a file-size limit shall be a failed write, which is cleaned up after
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        // Whoever started us may have switched a signal off: nohup, a shell's background job.
        struct sigaction before {};
        if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        ::sigaction(signal, &action, nullptr);
    }
}

void end_at_once(Exit code, const char* message) {
    remove_unfinished();
    // Whether it could be written makes no difference any more.
    static_cast<void>(!::write(STDERR_FILENO, message, std::strlen(message)));
    end_process(static_cast<int>(code));
}

bool interrupted() {
    return signals_seen.load(std::memory_order_relaxed) > 0;
}

void interrupt() {
    int none = 0;  // only a person's second signal ends the process at once
    signals_seen.compare_exchange_strong(none, 1);
}

void remove_on_exit(const std::filesystem::path& path) {
    const std::string name = name_of(path);
    if (Unfinished* known = find(name)) {
        known->armed = true;
        return;
    }
    auto entry = std::make_unique<Unfinished>();
    entry->path = name;
    entry->armed = true;
    entry->next = unfinished.load();
    while (!unfinished.compare_exchange_weak(entry->next, entry.get())) {
    }
    (void)entry.release();  // kept as long as the process: the handler may be reading it
}

void remove_unfinished() noexcept {
    for (Unfinished* entry = unfinished.load(); entry; entry = entry->next)
        if (entry->armed.load()) ::unlink(entry->path.c_str());
}

void keep_on_exit(const std::filesystem::path& path) {
    if (Unfinished* known = find(name_of(path))) known->armed = false;
}

}  // namespace halftone::os
