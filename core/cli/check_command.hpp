#pragma once

#include "core/cli/command.hpp"

namespace halftone::cli {

Command check_command();

}  // namespace halftone::cli
