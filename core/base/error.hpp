#pragma once

#include <fmt/format.h>
#include <stdexcept>
#include <string>
#include <utility>

namespace halftone {

// The exit codes of the binary; see docs/manual.md.
enum class Exit : int {
    done = 0,
    failed = 1,
    usage = 2,        // the command line or the pipeline
    input = 3,        // unreadable or malformed
    plugin = 4,       // not found, refused or misbehaving
    interrupted = 5,  //
    space = 6,        // no room on disk or in memory
};

// Every failure inside the host: what class it is of, where (file:line, file or tensor), what, and what to
// do.
class Error : public std::runtime_error {
  public:
    Error(Exit code, std::string where, std::string what, std::string advice = {})
        : std::runtime_error(where.empty() ? what : where + ": " + what),
          code_(code),
          where_(std::move(where)),
          problem_(std::move(what)),
          advice_(std::move(advice)) {}

    Exit code() const { return code_; }
    const std::string& where() const { return where_; }
    const std::string& problem() const { return problem_; }
    const std::string& advice() const { return advice_; }

  private:
    Exit code_;
    std::string where_, problem_, advice_;
};

template <class... Args>
[[noreturn]] void fail(Exit code, std::string where, fmt::format_string<Args...> what, Args&&... args) {
    throw Error(code, std::move(where), fmt::format(what, std::forward<Args>(args)...));
}

}  // namespace halftone
