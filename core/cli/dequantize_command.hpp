#pragma once

#include "core/cli/command.hpp"

namespace halftone::cli {

Command dequantize_command();

}  // namespace halftone::cli
