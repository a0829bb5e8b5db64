#pragma once

#include "core/cli/command.hpp"

namespace halftone::cli {

Command inspect_command();

}  // namespace halftone::cli
