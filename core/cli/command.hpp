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
    std::function<std::shared_ptr<Registry>()> registry;  // found when first asked for
};

struct Command {
    std::string name;
    std::string summary;  // one line
    std::string usage;    // the whole help text
    std::function<int(Context&, const std::vector<std::string>& args)> run;  // returns the exit code
};

}  // namespace halftone::cli
