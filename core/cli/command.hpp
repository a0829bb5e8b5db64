#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "core/base/log.hpp"

namespace halftone {
class Registry;
}

namespace halftone::cli {

// What a command gets from the program around it.
struct Context {
    Log& log;
    std::ostream& out;
    bool terminal = false;  // `out` is a terminal
    int width = 0;          // its width; 0 if unknown
    // The plugins, found when asked for. To be used: Exit::plugin if a folder of them cannot be read. To be
    // listed.
    std::function<std::shared_ptr<Registry>()> registry, listed_registry = {};
};

struct Command {
    std::string name;
    std::string summary;                                                     // one line
    std::string usage;                                                       // the whole help text
    std::function<int(Context&, const std::vector<std::string>& args)> run;  // returns the exit code
};

struct CommandText {
    std::string name, summary, synopsis, about;
};
class Arguments;

// A command whose options are declared once: `declare` for parsing and help alike, then `body` on what was
// given.
Command make_command(const CommandText&, std::function<void(Arguments&)> declare,
                     std::function<int(Context&, const Arguments&)> body);

}  // namespace halftone::cli
