#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include <halftone/abi.h>

#include "core/base/error.hpp"

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
void throw_if_broken(const std::string& plugin);

// Calls a table's function under the guard; for functions that return a status, turns it into Refusal or
// Error (Exit::plugin, or Exit::space for HT_NO_MEMORY). `doing` completes "... failed".
template <class Function, class... Args>
void call(const std::string& plugin, Function function, Args... args) {
    {
        FloatingPointGuard guard(plugin);
        function(args...);
    }
    throw_if_broken(plugin);
}

void check_status(const std::string& plugin, const std::string& doing, ht_status, const ht_error&);

template <class Function, class... Args>
void call_checked(const std::string& plugin, const std::string& doing, Function function, Args... args) {
    ht_error error{};
    error.size = sizeof error;
    ht_status status;
    {
        FloatingPointGuard guard(plugin);
        status = function(args..., &error);
    }
    throw_if_broken(plugin);
    check_status(plugin, doing, status, error);
}

}  // namespace halftone
