#pragma once

#include "core/cli/command.hpp"

namespace halftone::cli {

Command run_command();
Command plan_command();

}  // namespace halftone::cli
