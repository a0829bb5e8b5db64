#pragma once

#include <string>

namespace halftone {

std::string version();             // "0.1.0"
std::string build_description();   // compiler, build type, sanitizers: for `halftone version`
std::string bundled_plugin_dir();  // where the plugins lie below the prefix: "lib/halftone/plugins"

}  // namespace halftone
