#include "core/checkpoint/shard_index.hpp"

#include <algorithm>
#include <map>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/checkpoint/in_quotes.hpp"
#include "core/checkpoint/json_reader.hpp"

namespace halftone {
namespace {

// An entry of a few bytes takes many more in memory. The largest models of the day have some 100,000 tensors.
constexpr size_t most_tensors = 1'000'000, most_shards = 100'000;

// A hostile index must not make us read files elsewhere. Links are followed: caches of downloads consist of
// them.
std::filesystem::path checked_shard(const JsonReader& json, const std::string& file) {
    const std::filesystem::path path(std::u8string(file.begin(), file.end()));
    if (file.empty() || file.find('\0') != std::string::npos || !path.has_filename())
        json.refuse("{} is no name of a file", in_quotes(file));
    const bool climbs = std::any_of(path.begin(), path.end(), [](const auto& part) { return part == ".."; });
    if (path.has_root_path() || climbs)
        json.refuse("shard {} lies outside the folder of the index", in_quotes(file));
    return path.lexically_normal();
}

void read_weight_map(JsonReader& json, ShardIndex& index) {
    using Kind = JsonReader::Kind;
    if (json.peek() != Kind::object) json.refuse("'weight_map' must be an object, not {}", name(json.peek()));
    std::map<std::filesystem::path, uint32_t> numbers;
    json.begin_object();
    std::string file;
    for (std::string tensor; json.next_member(tensor);) {
        if (index.tensors.size() == most_tensors || numbers.size() > most_shards)
            json.refuse("the index names more than {} tensors or {} shards", text::grouped(most_tensors),
                        text::grouped(most_shards));
        if (json.peek() != Kind::string)
            json.refuse("the file of tensor {} must be a string, not {}", in_quotes(tensor),
                        name(json.peek()));
        json.string(file);
        const auto number = static_cast<uint32_t>(numbers.size());
        const auto at = numbers.try_emplace(checked_shard(json, file), number).first;
        index.tensors.emplace_back(std::move(tensor), at->second);
    }

    std::vector<uint32_t> renumbered(numbers.size());
    for (const auto& [path, number] : numbers) {
        renumbered[number] = static_cast<uint32_t>(index.shards.size());
        index.shards.push_back(path);
    }
    for (auto& [tensor, shard] : index.tensors)
        shard = renumbered[shard];
}

}  // namespace

ShardIndex read_index(const std::filesystem::path& path) {
    using Kind = JsonReader::Kind;
    const os::File file = os::File::open_to_read(path);
    const std::string where = os::utf8(path);
    const HeaderLimits limits;
    const uint64_t size = file.size();
    if (size > limits.json_bytes)
        fail(Exit::input, where, "{} bytes are too many for an index of shards; at most {} are read",
             text::grouped(size), text::grouped(limits.json_bytes));

    ShardIndex index;
    JsonReader json({where, "index", 0, limits.depth, chunks_of(file, 0, size)});
    if (json.peek() != Kind::object)
        json.refuse("an index of shards must be an object, not {}", name(json.peek()));
    json.begin_object();
    bool found = false;
    for (std::string key; json.next_member(key);) {
        if (key != "weight_map") {
            json.skip();
            continue;
        }
        if (std::exchange(found, true)) json.refuse("'weight_map' comes twice");
        read_weight_map(json, index);
    }
    json.finish();
    if (!found) fail(Exit::input, where, "this is no index of shards: it has no 'weight_map'");
    if (index.tensors.empty())
        fail(Exit::input, where, "the index names no tensor: its 'weight_map' is empty");

    std::sort(index.tensors.begin(), index.tensors.end());
    const auto twice = std::adjacent_find(index.tensors.begin(), index.tensors.end(),
                                          [](const auto& a, const auto& b) { return a.first == b.first; });
    if (twice != index.tensors.end())
        fail(Exit::input, where, "tensor {} comes twice in 'weight_map'", in_quotes(twice->first));
    return index;
}

}  // namespace halftone
