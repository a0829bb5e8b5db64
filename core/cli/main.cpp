#include <string>
#include <vector>

#include "core/cli/program.hpp"

int main(int count, char** values) {
    return halftone::cli::run_program(std::vector<std::string>(values + (count > 0 ? 1 : 0), values + count));
}
