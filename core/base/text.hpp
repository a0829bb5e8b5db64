#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace halftone::text {

bool is_utf8(std::string_view);

// For error messages: at most `limit` bytes, control characters and broken UTF-8 escaped, "..." where cut.
std::string printable(std::string_view, size_t limit = 120);

// The candidate that the writer of `word` most likely meant, if any is near enough.
std::optional<std::string> closest(std::string_view word, std::span<const std::string> candidates);

// "; did you mean 'block_size'?" or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

// "1.5 GiB", "820 B".
std::string bytes(uint64_t);

// "12,345".
std::string grouped(uint64_t);

// "1 tensor", "1,200 tensors"; "2 matrices" where the plural is given.
std::string plural(uint64_t count, std::string_view noun, std::string_view nouns = {});

// "0.25 s", "3 s", "2 min 05 s", "1 h 02 min".
std::string duration(double seconds);

// "64MiB", "5GB", "4096", "1.5 GiB"; nothing else. A fraction of a byte is cut off.
std::optional<uint64_t> parse_bytes(std::string_view);

// "a,b," is three parts, the last one empty; "" is none.
std::vector<std::string> split(std::string_view, char separator);
std::string join(std::span<const std::string>, std::string_view separator);

// As a TOML basic string, quotes included; broken UTF-8 becomes U+FFFD.
std::string toml_quoted(std::string_view);

}  // namespace halftone::text
