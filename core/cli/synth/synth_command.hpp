#pragma once

#include "core/cli/command.hpp"

namespace halftone::cli {

Command synth_command();

}  // namespace halftone::cli
