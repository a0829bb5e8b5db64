#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halftone::os {

// How long a call may take before someone asks about it.
enum class Patience { limited, any };

// Stands around every call into code that is not ours, and around loading it: if the process ends in there,
// or the call does not return, the message names the code, the function and the subject. Costs two
// uncontended locks. Calls nest: the innermost one counts.
class ForeignCall {
  public:
    // Both texts outlive the object. `function` ends with "()", or says what is being done: "loading".
    ForeignCall(const std::string& culprit, const char* function, Patience = Patience::limited) noexcept;
    ~ForeignCall();
    ForeignCall(const ForeignCall&) = delete;
    ForeignCall& operator=(const ForeignCall&) = delete;

  protected:
    ForeignCall() noexcept;  // of our own again

  private:
    const char *culprit_, *function_;  // of the call around this one
    double since_;
    bool limited_;
};

// Stands where foreign code has called us back: what goes wrong in here is not its fault.
class HomeCall : public ForeignCall {
  public:
    HomeCall() noexcept = default;
};

// What the calls of this thread are about, for as long as the object lives: a tensor, a layer, a file.
class Subject {
  public:
    explicit Subject(std::string_view name);
    ~Subject();
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;

    // The subject of this thread, fit to be shown; "" without one. It lives as long as its object.
    static const char* current() noexcept;

    // The same subject on another thread that works for this one.
    class Shared {
      public:
        explicit Shared(const char* current) noexcept;
        ~Shared();
        Shared(const Shared&) = delete;
        Shared& operator=(const Shared&) = delete;

      private:
        const char* before_;
    };

  private:
    std::string name_;
    Shared shared_;
};

// A call that has not returned.
struct ActiveCall {
    std::string culprit, function, subject;
    double seconds = 0;  // since it began
    bool limited = true;

    std::string doing() const;      // "in encode() of 'blocks.0.weight'", "loading"
    std::string returning() const;  // "returns from encode() of 'blocks.0.weight'", "has been loaded"
};
std::vector<ActiveCall> active_calls();  // of all threads, the longest first

// From now on a process that ends in a foreign call (by a signal, an exception that nobody catches, exit() or
// _exit()) says whose call it was in one sentence, removes unfinished files (see remove_on_exit) and ends
// with Exit::plugin. Whatever ends outside of such a call ends as ever. Signals that someone else handles
// already, like a sanitizer, are left alone. After a fork, call it again in the child: without that it is
// taken for the foreign code's own.
struct EndMessages {
    bool json = false;      // one JSON object a line, as the log writes them
    int descriptor = 2;     // where to
    bool sentence = false;  // the sentence alone, without "error:" and advice
};
void name_foreign_ends(EndMessages);

// After a library was loaded: exit() is noticed before the destructors of its objects run.
void name_exit_first();

// Ends the process without a word, whatever is under way. May be called by a signal handler.
[[noreturn]] void end_process(int code) noexcept;

// Called with the address that a crash was at; writes what is known about it ("64 bytes after the band"), or
// returns false. Only what may be done in a signal handler.
using Explain = bool (*)(const void* address, char* text, size_t size) noexcept;
void explain_crashes_with(Explain);

}  // namespace halftone::os
