#pragma once

#include "core/cli/command.hpp"

namespace halftone::cli {

Command verify_command();

}  // namespace halftone::cli
