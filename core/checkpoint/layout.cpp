#include <algorithm>
#include <tuple>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/checkpoint/in_quotes.hpp"
#include "core/checkpoint/writer.hpp"

namespace halftone {
namespace {

constexpr size_t length_word = 8;

uint64_t bytes_of(const OutputTensor& tensor) {
    const std::optional<uint64_t> bytes = byte_count(tensor.dtype, tensor.shape);
    if (!bytes || tensor.dtype == 0)
        fail(Exit::failed, in_quotes(tensor.name), "a tensor of dtype {} and shape {} cannot be stored",
             dtype::name(tensor.dtype), to_string(tensor.shape));
    return *bytes;
}

std::string json_string(const std::string& text) {
    try {
        return Json(text).dump();
    } catch (const Json::exception&) {
        fail(Exit::failed, in_quotes(text), "a name or metadata that is no valid UTF-8 cannot be stored");
    }
}

void append_numbers(std::string& out, std::span<const uint64_t> numbers) {
    fmt::format_to(std::back_inserter(out), "[{}]", fmt::join(numbers, ","));
}

void check_unique(std::vector<std::string_view> names, std::string_view what) {
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
        fail(Exit::failed, in_quotes(*twice), "the output would have two {} of this name", what);
}

void check_names(const std::vector<OutputTensor>& tensors, const Metadata& metadata) {
    std::vector<std::string_view> names;
    for (const OutputTensor& tensor : tensors) {
        if (tensor.name == "__metadata__" || tensor.name.find('\0') != std::string::npos)
            fail(Exit::failed, in_quotes(tensor.name), "no tensor can have this name");
        names.push_back(tensor.name);
    }
    check_unique(std::move(names), "tensors");
    std::vector<std::string_view> keys;
    for (const auto& [key, value] : metadata)
        keys.push_back(key);
    check_unique(std::move(keys), "metadata entries");
}

// Behind room for the length word.
std::string header_json(const std::vector<OutputTensor>& tensors, const Metadata& metadata) {
    constexpr size_t numbers_and_keys = 96;  // of an entry, about
    size_t about = 1024;
    for (const auto& [key, value] : metadata)
        about += key.size() + value.size() + value.size() / 4;  // JSON within JSON has quotes to escape
    for (const OutputTensor& tensor : tensors)
        about += tensor.name.size() + numbers_and_keys;
    std::string json;
    json.reserve(about);  // untouched memory costs nothing, whereas growing holds everything twice
    json.append(length_word, '\0');
    json += '{';
    if (!metadata.empty()) {
        json += "\"__metadata__\":{";
        for (const auto& [key, value] : metadata)
            json.append(json_string(key)).append(":").append(json_string(value)).append(",");
        json.back() = '}';
        json += ',';
    }
    for (const OutputTensor& tensor : tensors) {
        json.append(json_string(tensor.name)).append(":{\"dtype\":\"").append(dtype::name(tensor.dtype));
        json += "\",\"shape\":";
        append_numbers(json, tensor.shape);
        json += ",\"data_offsets\":";
        const uint64_t offsets[] = {tensor.offset, tensor.offset + tensor.bytes};
        append_numbers(json, offsets);
        json += "},";
    }
    if (json.back() == ',') json.pop_back();
    json += '}';
    while (json.size() % 8 != 0)
        json += ' ';
    return json;
}

// What stays together: everything that hangs on one weight. "a.b" for a.b.weight, a.b.bias, a.b.weight_scale
// and a.b.weight.absmax.
std::string_view layer_of(std::string_view name) {
    constexpr std::string_view inner = ".weight.";
    if (const size_t at = name.find(inner); at != std::string_view::npos) return name.substr(0, at);
    const size_t dot = name.rfind('.');
    return dot == std::string_view::npos ? name : name.substr(0, dot);
}

}  // namespace

FileLayout lay_out(std::vector<OutputTensor> tensors, const Metadata& metadata) {
    check_names(tensors, metadata);
    std::sort(tensors.begin(), tensors.end(), [](const OutputTensor& a, const OutputTensor& b) {
        return std::tie(b.dtype, a.name) < std::tie(a.dtype, b.name);  // dtypes are numbered by width
    });
    uint64_t end = 0;
    for (OutputTensor& tensor : tensors) {
        tensor.bytes = bytes_of(tensor);
        tensor.offset = end;
        if (__builtin_add_overflow(end, tensor.bytes, &end) || end > uint64_t{INT64_MAX} / 2)
            fail(Exit::failed, in_quotes(tensor.name), "the output would be larger than any file can be");
    }

    FileLayout layout;
    layout.header = header_json(tensors, metadata);
    const uint64_t json_bytes = layout.header.size() - length_word;
    const HeaderLimits limits;
    if (json_bytes > limits.json_bytes)
        throw Error(Exit::failed, "",
                    fmt::format("the header would have {} bytes; no reader takes more than {}",
                                text::grouped(json_bytes), text::grouped(limits.json_bytes)),
                    "write shards, or drop metadata");
    for (size_t i = 0; i < length_word; ++i)
        layout.header[i] = static_cast<char>((json_bytes >> (8 * i)) & 0xFF);
    for (OutputTensor& tensor : tensors)
        tensor.offset += layout.header.size();
    layout.size = layout.header.size() + end;
    layout.tensors = std::move(tensors);
    return layout;
}

std::vector<std::vector<OutputTensor>> split_into_shards(std::vector<OutputTensor> tensors,
                                                         uint64_t shard_size) {
    for (OutputTensor& tensor : tensors)
        tensor.bytes = bytes_of(tensor);
    std::sort(tensors.begin(), tensors.end(), [](const OutputTensor& a, const OutputTensor& b) {
        return std::tuple(layer_of(a.name), std::string_view(a.name)) <
               std::tuple(layer_of(b.name), std::string_view(b.name));
    });
    std::vector<std::vector<OutputTensor>> shards;
    if (shard_size == 0) {
        shards.push_back(std::move(tensors));
        return shards;
    }
    shards.emplace_back();
    uint64_t used = 0;
    const auto add = [&](OutputTensor& tensor) {
        used += tensor.bytes;
        shards.back().push_back(std::move(tensor));
    };
    const auto make_room = [&](uint64_t bytes) {
        if (bytes <= shard_size - std::min(used, shard_size) || shards.back().empty()) return;
        shards.emplace_back();
        used = 0;
    };
    for (size_t first = 0, last = 0; first < tensors.size(); first = last) {
        uint64_t bytes = 0;
        const std::string layer(layer_of(tensors[first].name));
        for (; last < tensors.size() && layer_of(tensors[last].name) == layer; ++last)
            bytes += tensors[last].bytes;
        make_room(bytes);
        for (size_t i = first; i < last; ++i) {
            make_room(tensors[i].bytes);  // for a layer that is too large for one shard
            add(tensors[i]);
        }
    }
    return shards;
}

std::filesystem::path shard_path(const std::filesystem::path& output, size_t index, size_t count) {
    std::filesystem::path name = output.stem();
    name += fmt::format("-{:05}-of-{:05}", index + 1, count);
    name += output.extension();
    return output.parent_path() / name;
}

std::filesystem::path index_path(const std::filesystem::path& output) {
    std::filesystem::path path = output;
    path += ".index.json";
    return path;
}

}  // namespace halftone
