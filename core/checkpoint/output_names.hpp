#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

// The files that an output of so many shards consists of; the index of shards is the last.
std::vector<std::filesystem::path> names_of_output(const std::filesystem::path& output, size_t files);

// "model.safetensors" for "model-00002-of-00004.safetensors"; "" if this is the name of no shard.
std::string without_shard_number(std::string_view name);

// A path in quotes for messages. Unlike other names it is not cut: half a path is of no use.
std::string quoted(const std::filesystem::path&);

}  // namespace halftone
