#pragma once

#include <string>
#include <vector>

namespace halftone::cli {

// The whole program but for main(): parses what all commands share, runs the command, turns exceptions into a
// message and an exit code.
int run_program(const std::vector<std::string>& arguments);

}  // namespace halftone::cli
