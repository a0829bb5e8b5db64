#pragma once

#include <string>
#include <string_view>

namespace halftone {

// The TOML library nests as deep as the text says and would run out of stack, so absurd depth is refused
// first. Also refuses what is not UTF-8. Exit::usage with name:line:column.
void check_before_parsing(std::string_view toml, const std::string& name);

struct SyntaxProblem {
    std::string what, advice;
    size_t column = 0;  // where it is better than the library's, from 1; otherwise 0
};

// What the TOML library says about a line, in words for a person who may not know TOML.
SyntaxProblem explain_syntax_error(std::string_view description, std::string_view line);

}  // namespace halftone
