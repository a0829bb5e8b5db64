#include "core/base/os/foreign_call.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <sys/syscall.h>
#include <typeinfo>
#include <unistd.h>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"

namespace halftone::os {

namespace {

constexpr size_t stack_bytes = 64 * 1024;  // enough for the registers of any processor and for a sentence

// What one thread is doing. Written by that thread alone; others read under the mutex.
struct Slot {
    std::mutex mutex;
    const char* culprit = nullptr;
    const char* function = nullptr;
    const char* subject = "";
    double since = 0;
    bool limited = true;
    std::atomic<bool> taken = true;
    Slot* next = nullptr;
    std::unique_ptr<char[]> stack;
};

// A list that only grows; slots of threads that have ended are used again.
std::atomic<Slot*> slots = nullptr;

std::atomic<int> message_descriptor = 2;
std::atomic<bool> message_json = false, message_sentence = false;
std::atomic<pid_t> our_process = 0;
std::atomic<Explain> explain_crash = nullptr;
std::atomic_flag ending = ATOMIC_FLAG_INIT;
thread_local bool ending_here = false;
std::terminate_handler terminate_before = nullptr;

// A handler cannot run on a stack that has overflowed. Whoever made a stack for this thread before, like a
// sanitizer, keeps it.
void set_signal_stack(Slot& slot) {
    stack_t before{};
    if (::sigaltstack(nullptr, &before) != 0 || !(before.ss_flags & SS_DISABLE)) return;
    if (!slot.stack) slot.stack = std::make_unique<char[]>(stack_bytes);
    stack_t ours{};
    ours.ss_sp = slot.stack.get();
    ours.ss_size = stack_bytes;
    ::sigaltstack(&ours, nullptr);
}

void drop_signal_stack(Slot& slot) {
    stack_t now{};
    if (!slot.stack || ::sigaltstack(nullptr, &now) != 0 || now.ss_sp != slot.stack.get()) return;
    now.ss_flags = SS_DISABLE;
    ::sigaltstack(&now, nullptr);
}

Slot* take_slot() {
    for (Slot* one = slots.load(); one; one = one->next) {
        bool taken = false;
        if (one->taken.compare_exchange_strong(taken, true)) return one;
    }
    auto made = std::make_unique<Slot>();
    made->next = slots.load();
    while (!slots.compare_exchange_weak(made->next, made.get())) {
    }
    return made.release();  // kept as long as the process: a handler may be reading it
}

// Trivial, so that it outlives the thread's objects: a plugin may call exit(), which ends those first.
thread_local Slot* slot_here = nullptr;

struct GiveBack {
    ~GiveBack() {
        if (!slot_here || slot_here->culprit) return;  // the thread ends in a foreign call
        drop_signal_stack(*slot_here);
        slot_here->taken = false;
        slot_here = nullptr;
    }
};

Slot& here() {
    if (!slot_here) {
        slot_here = take_slot();
        set_signal_stack(*slot_here);
        static thread_local GiveBack give_back;
        (void)give_back;
    }
    return *slot_here;
}

bool is_function(const char* function) {
    const size_t length = std::strlen(function);
    return length > 2 && std::strcmp(function + length - 2, "()") == 0;
}

// --------------------------------------------------------------------- the last sentence, without allocation

class Sentence {
  public:
    Sentence& add(const char* text) {
        while (*text && length_ + 1 < sizeof text_)
            text_[length_++] = *text++;
        return *this;
    }
    // Names of files and tensors, and texts of exceptions: nothing that steers a terminal or breaks a line.
    Sentence& add_foreign(const char* text) {
        constexpr char digits[] = "0123456789abcdef";
        for (; *text && length_ + 5 < sizeof text_; ++text) {
            const auto byte = static_cast<unsigned char>(*text);
            if (byte >= ' ' && byte < 0x7f) {
                text_[length_++] = *text;
                continue;
            }
            for (const char c : {'\\', 'x', digits[byte >> 4], digits[byte & 15]})
                text_[length_++] = c;
        }
        return *this;
    }
    void write() const {
        const bool json = message_json, alone = message_sentence;
        if (alone) {
            put(text_, length_);
            put("\n", 1);
            return;
        }
        constexpr const char* advice = "the plugin is at fault: tell its authors";
        if (json) {
            put(R"({"level":"error","text":")");
            for (size_t i = 0; i < length_; ++i) {
                if (text_[i] == '"' || text_[i] == '\\') put("\\", 1);
                put(text_ + i, 1);
            }
            put("\\n  ");
            put(advice);
            put("\"}\n");
            return;
        }
        if (::isatty(message_descriptor) == 1) put("\r\x1b[K");  // a progress line may stand there
        put("error: ");
        put(text_, length_);
        put("\n  ");
        put(advice);
        put("\n");
    }

  private:
    static void put(const char* text) { put(text, std::strlen(text)); }
    static void put(const char* text, size_t length) {
        while (length > 0) {
            const ssize_t written = ::write(message_descriptor, text, length);
            if (written <= 0) return;
            text += written;
            length -= static_cast<size_t>(written);
        }
    }

    char text_[3000];
    size_t length_ = 0;
};

// The call that this thread is in, if it is one of the process that asked for its name.
const Slot* foreign_call_here() {
    const Slot* const slot = slot_here;
    return slot && slot->culprit && ::getpid() == our_process ? slot : nullptr;
}

[[noreturn]] void end(const Slot& slot, const char* what, const char* reason, const char* detail = "",
                      const char* more = "") {
    if (ending.test_and_set()) {
        if (ending_here) {  // what it said of itself cannot be read either
            remove_unfinished();
            end_process(static_cast<int>(Exit::plugin));
        }
        for (;;)  // another thread is at it
            ::pause();
    }
    ending_here = true;
    Sentence sentence;
    sentence.add_foreign(slot.culprit).add(" ").add(what);
    sentence.add(is_function(slot.function) ? " in " : " while ").add_foreign(slot.function);
    if (*slot.subject) sentence.add(" of '").add_foreign(slot.subject).add("'");
    sentence.add(": ").add(reason).add_foreign(detail).add(more);
    sentence.write();
    remove_unfinished();
    end_process(static_cast<int>(Exit::plugin));
}

const char* name_of(int signal) {
    switch (signal) {
        case SIGSEGV:
            return "it reached for memory that is not there (SIGSEGV)";
        case SIGBUS:
            return "it reached for memory that cannot be had (SIGBUS)";
        case SIGFPE:
            return "it divided by zero or the like (SIGFPE)";
        case SIGILL:
            return "this processor does not know an instruction (SIGILL)";
        default:
            return "it called abort() (SIGABRT)";
    }
}

extern "C" void on_crash(int signal, siginfo_t* info, void*) {
    if (const Slot* const slot = foreign_call_here()) {
        char where[200] = ", ";
        const Explain explain = explain_crash;
        const bool known = (signal == SIGSEGV || signal == SIGBUS) && explain && info &&
                           explain(info->si_addr, where + 2, sizeof where - 2);
        end(*slot, "crashed", name_of(signal), known ? where : "");
    }
    // Our own crash ends as if nobody had asked: the signal strikes again once this has returned.
    ::signal(signal, SIG_DFL);
    ::raise(signal);
}

[[noreturn]] void on_terminate() {
    const Slot* const slot = foreign_call_here();
    if (!slot) {
        if (terminate_before) terminate_before();
        std::abort();
    }
    const char* const what = "ended the process";
    if (!std::current_exception()) end(*slot, what, "it called std::terminate()");
    try {
        throw;
    } catch (const std::exception& problem) {
        end(*slot, what, "it threw an exception that nothing could catch: ", problem.what());
    } catch (...) {
        end(*slot, what, "it threw an exception that nothing could catch, no std::exception");
    }
}

void on_exit() {
    if (const Slot* const slot = foreign_call_here()) end(*slot, "ended the process", "it called exit()");
}

}  // namespace

ForeignCall::ForeignCall(const std::string& culprit, const char* function, Patience patience) noexcept
    : ForeignCall() {
    Slot& slot = *slot_here;
    const double now = seconds();
    const std::lock_guard lock(slot.mutex);
    slot.culprit = culprit.c_str();
    slot.function = function;
    slot.since = now;
    slot.limited = patience == Patience::limited;
}

ForeignCall::ForeignCall() noexcept {
    Slot& slot = here();
    const std::lock_guard lock(slot.mutex);
    culprit_ = std::exchange(slot.culprit, nullptr);
    function_ = slot.function;
    since_ = slot.since;
    limited_ = slot.limited;
}

ForeignCall::~ForeignCall() {
    Slot& slot = *slot_here;
    const std::lock_guard lock(slot.mutex);
    slot.culprit = culprit_;
    slot.function = function_;
    slot.since = since_;
    slot.limited = limited_;
}

Subject::Shared::Shared(const char* current) noexcept {
    Slot& slot = here();
    const std::lock_guard lock(slot.mutex);
    before_ = std::exchange(slot.subject, current);
}

Subject::Shared::~Shared() {
    Slot& slot = *slot_here;
    const std::lock_guard lock(slot.mutex);
    slot.subject = before_;
}

Subject::Subject(std::string_view name) : name_(text::printable(name, 300)), shared_(name_.c_str()) {}
Subject::~Subject() = default;

const char* Subject::current() noexcept {
    return here().subject;
}

std::string ActiveCall::doing() const {
    return (is_function(function.c_str()) ? "in " : "") + function +
           (subject.empty() ? "" : " of '" + subject + "'");
}

std::string ActiveCall::returning() const {
    const std::string of = subject.empty() ? "" : " of '" + subject + "'";
    return (is_function(function.c_str()) ? "returns from " : "is done with ") + function + of;
}

std::vector<ActiveCall> active_calls() {
    std::vector<ActiveCall> all;
    const double now = seconds();
    for (Slot* one = slots.load(); one; one = one->next) {
        const std::unique_lock lock(one->mutex, std::try_to_lock);
        if (!lock.owns_lock() || !one->culprit) continue;
        all.push_back({one->culprit, one->function, one->subject, now - one->since, one->limited});
    }
    std::ranges::sort(all, std::greater(), &ActiveCall::seconds);
    return all;
}

void name_foreign_ends(EndMessages messages) {
    message_descriptor = messages.descriptor;
    message_json = messages.json;
    message_sentence = messages.sentence;
    our_process = ::getpid();
    static const bool once = [] {
        terminate_before = std::set_terminate([] { on_terminate(); });
        std::atexit(on_exit);
        std::at_quick_exit(on_exit);
        struct sigaction action {};
        action.sa_sigaction = on_crash;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        ::sigfillset(&action.sa_mask);
        for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
            struct sigaction before {};
            if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_DFL)
                ::sigaction(signal, &action, nullptr);
        }
        return true;
    }();
    (void)once;
}

void name_exit_first() {
    std::atexit(on_exit);
}

void end_process(int code) noexcept {
    for (;;)
        ::syscall(SYS_exit_group, code);
}

void explain_crashes_with(Explain explain) {
    explain_crash = explain;
}

}  // namespace halftone::os

// Libraries that call _exit() get ours, since the program's symbols come first. Sanitizers have their own.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HALFTONE_SANITIZED 1
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(HALFTONE_SANITIZED)

extern "C" [[noreturn]] __attribute__((visibility("default"))) void _exit(int code) {
    using namespace halftone::os;
    if (const Slot* const slot = foreign_call_here()) end(*slot, "ended the process", "it called _exit()");
    end_process(code);
}

extern "C" [[noreturn]] __attribute__((visibility("default"))) void _Exit(int code) {
    _exit(code);
}

#endif
