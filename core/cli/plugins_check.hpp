#pragma once

#include <cstdint>
#include <memory>

#include "core/cli/command.hpp"

namespace halftone {
class PluginLibrary;
}

namespace halftone::cli {

// `halftone plugins check`: holds a format to its promises. The exit code: 0, or 4 if it breaks one.
int check_plugin(Context&, std::shared_ptr<PluginLibrary>, uint64_t seed, bool json);

}  // namespace halftone::cli
