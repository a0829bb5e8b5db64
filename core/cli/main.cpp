#include <string>
#include <vector>

#include "core/base/os/process.hpp"
#include "core/base/os/standard_streams.hpp"
#include "core/cli/program.hpp"

int main(int count, char** values) {
    halftone::os::open_standard_streams();
    halftone::os::return_freed_memory();
    halftone::os::ignore_broken_pipes();
    return halftone::cli::run_program(std::vector<std::string>(values + (count > 0 ? 1 : 0), values + count));
}
