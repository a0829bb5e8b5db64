#pragma once

#include "core/cli/command.hpp"

namespace halftone::cli {

Command compare_command();

}  // namespace halftone::cli
