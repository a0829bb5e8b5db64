#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace halftone {

// What an index of shards says. Exit::input, with the index and the reason, if it cannot be true.
struct ShardIndex {
    std::vector<std::filesystem::path> shards;              // beside or below the index, in ascending order
    std::vector<std::pair<std::string, uint32_t>> tensors;  // and their shards, in ascending order of names
};
ShardIndex read_index(const std::filesystem::path&);

}  // namespace halftone
