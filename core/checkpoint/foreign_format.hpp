#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace halftone {

// What kind of file a name says that is no safetensors file: "a GGUF file" for "x.gguf"; "" if it says
// nothing.
std::string foreign_format(const std::filesystem::path&);

// By its first bytes, and where these say nothing by its name.
std::string foreign_format(const std::filesystem::path&, std::span<const std::byte> first_bytes);

// An output whose name says that it is of such a kind would be read as one: Exit::usage. `where` the name was
// given.
void refuse_foreign_name(const std::filesystem::path& output, const std::string& where);

inline constexpr const char* only_safetensors = "Halftone reads and writes safetensors files only";

}  // namespace halftone
