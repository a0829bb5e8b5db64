#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/cli/command.hpp"

namespace halftone {
class PluginLibrary;
}

namespace halftone::cli {

// `halftone plugins check`: holds a plugin to its promises, in a process of its own. The exit code: 0, or 4
// if it breaks one. `load` runs in that process.
struct PluginCheck {
    std::function<std::shared_ptr<PluginLibrary>()> load;
    std::string named;
    std::vector<std::string> labels_of_others;
    uint64_t seed = 1;
    double timeout = 30;  // seconds a call
    bool json = false;
};
int check_plugin(Context&, const PluginCheck&);

}  // namespace halftone::cli
