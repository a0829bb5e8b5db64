#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace halftone::arithmetic {

// What a name stands for; nothing if that is not known.
using Lookup = std::function<std::optional<int64_t>(std::string_view)>;

// Whole-number arithmetic as files of data write it: "up(N, 128) * (K / 16)", "!rotated || K % R == 0".
// + - * / % == != < <= > >= && || ! and parentheses as in C, with truth as 1 and 0; up(a, b) is the next
// multiple of b, power(a, b) whether b is a power of a. Nothing where a name is unknown, a division has no
// result or a number is too large; but what decides && and || decides them, whatever the other side is.
std::optional<int64_t> evaluate(std::string_view expression, const Lookup&);

// What is wrong with how it is written, in a few words; "" if nothing is. Tells every name to `name`.
std::string problem_of(std::string_view expression, const std::function<void(std::string_view)>& name);

}  // namespace halftone::arithmetic
