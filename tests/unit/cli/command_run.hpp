#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/cli/command.hpp"

namespace halftone::cli {

struct Ran {
    int code = 0;
    std::string out;
    std::string error, advice;  // of the Error it threw; `code` is then that error's
};

// Runs a command as the program would, with its output in a text. `width` other than 0: on a terminal.
inline Ran run(const Command& command, const std::vector<std::string>& arguments, int width = 0) {
    Log log({.style = Log::Style::human, .least = Level::error, .color = false});
    std::ostringstream out;
    Context context{.log = log, .out = out, .terminal = width > 0, .width = width, .registry = {}};
    Ran ran;
    try {
        ran.code = command.run(context, arguments);
    } catch (const Error& error) {
        ran.code = static_cast<int>(error.code());
        ran.error = error.what();
        ran.advice = error.advice();
    }
    ran.out = out.str();
    return ran;
}

}  // namespace halftone::cli
