#pragma once

#include "core/cli/command.hpp"

namespace halftone::cli {

Command plugins_command();

}  // namespace halftone::cli
