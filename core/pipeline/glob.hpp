#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace halftone {

// Does the glob cover the whole name? `*` is any run of characters, dots included, `?` one character,
// `[abc]`,
// `[0-9]` one of a set, `[!abc]` one that is not in it; `[[]` is a bracket, `[*]` a star. Case counts. A
// bracket that is never closed stands for itself. At most a product of both lengths, whatever the pattern.
bool glob_matches(std::string_view glob, std::string_view name);

// What its writer cannot have meant: "'[' is never closed". Nothing if the glob makes sense.
std::optional<std::string> glob_problem(std::string_view glob);

}  // namespace halftone
