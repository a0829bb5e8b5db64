#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include <halftone/abi.h>

#include "core/base/error.hpp"
#include "core/base/os/foreign_call.hpp"

namespace halftone {

// Saves the floating-point mode (rounding, flush-to-zero, exception masks) around a call into a plugin. A
// plugin that returns with another mode is named in an Exit::plugin error, after the mode has been restored.
// Costs a few cycles: it stands around every band and tile.
class FloatingPointGuard {
  public:
    explicit FloatingPointGuard(const std::string& plugin);
    FloatingPointGuard(const FloatingPointGuard&) = delete;
    FloatingPointGuard& operator=(const FloatingPointGuard&) = delete;
    // Throws only where no other exception is under way.
    ~FloatingPointGuard() noexcept(false);  // NOLINT(bugprone-exception-escape)

  private:
    const std::string& plugin_;
    unsigned long mode_;
    int uncaught_;
};

// HT_REFUSED from a plugin: this tensor, with the plugin's reason. Not an error of the run.
class Refusal : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// A text from a plugin, fit to be shown: one line of whole UTF-8, whatever was in the buffer.
std::string shown(std::string_view buffer);

// What a plugin said on this thread through ht_host.broke, from a function that cannot return it.
void note_breakage(std::string_view text) noexcept;
void throw_if_broken(const std::string& plugin, const char* function);

// The exception under way has come out of a plugin's function, which no exception may: it becomes an error
// that names both. Our own errors pass.
[[noreturn]] void throw_escaped(const std::string& plugin, const char* function);

// Tables promise functions that throw nothing. A compiler that believes it leaves out what catches.
template <class Result, class... Args>
auto distrusted(Result (*function)(Args...) noexcept) -> Result (*)(Args...) {
    return function;
}
template <class Function>
Function distrusted(Function function) {
    return function;
}

// Calls a plugin's function and returns what it returns. Whatever goes wrong names the plugin and `function`
// ("encode()"): a changed floating-point mode, an exception, a word through ht_host.broke; and a crash or a
// call that does not return, see core/base/os/foreign_call.hpp.
template <os::Patience patience = os::Patience::limited, class Function, class... Args>
auto call(const std::string& plugin, const char* function, Function callee, Args... args) {
    const auto guarded = [&] {
        const os::ForeignCall here(plugin, function, patience);
        FloatingPointGuard guard(plugin);
        try {
            return distrusted(callee)(args...);
        } catch (...) {
            throw_escaped(plugin, function);
        }
    };
    if constexpr (std::is_void_v<decltype(guarded())>) {
        guarded();
        throw_if_broken(plugin, function);
    } else {
        auto result = guarded();
        throw_if_broken(plugin, function);
        return result;
    }
}

void check_status(const std::string& plugin, const char* function, ht_status, const ht_error&);

// The place for a plugin's reason, with bytes behind it that show whether it wrote too much.
class Reason {
  public:
    Reason();
    ht_error* get() { return &error_; }
    const ht_error& checked(const std::string& plugin, const char* function) const;

  private:
    ht_error error_{};
    unsigned char after_[128];
};

// The same for functions that return a status: turns it into Refusal or Error (Exit::plugin, or Exit::space
// for HT_NO_MEMORY).
template <os::Patience patience = os::Patience::limited, class Function, class... Args>
void call_checked(const std::string& plugin, const char* function, Function callee, Args... args) {
    Reason reason;
    const ht_status status = call<patience>(plugin, function, callee, args..., reason.get());
    check_status(plugin, function, status, reason.checked(plugin, function));
}

}  // namespace halftone
