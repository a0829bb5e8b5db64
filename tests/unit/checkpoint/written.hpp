#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/checkpoint/writer.hpp"

// Checkpoints made with the writer, for tests of everything else.
namespace halftone::testing_checkpoints {

using Contents = std::map<std::string, std::string>;  // of tensors, by name

inline std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

inline std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline OutputTensor tensor(std::string name, ht_dtype dtype, Shape shape) {
    return {std::move(name), dtype, std::move(shape)};
}

inline std::string random_bytes(size_t n, std::mt19937_64& random) {
    std::string bytes(n, '\0');
    for (char& byte : bytes)
        byte = static_cast<char>(random());
    return bytes;
}

// Tensors that `contents` does not name become zeros.
inline void write_data(const Output& output, const std::vector<FileLayout>& layouts,
                       const Contents& contents) {
    for (size_t file = 0; file < layouts.size(); ++file)
        for (const OutputTensor& one : layouts[file].tensors)
            if (const auto bytes = contents.find(one.name); bytes != contents.end())
                output.write(file, one.offset, bytes_of(bytes->second));
}

inline std::filesystem::path write(const std::filesystem::path& path, std::vector<OutputTensor> tensors,
                                   const Metadata& metadata = {}, const Contents& contents = {},
                                   uint64_t shard_size = 0) {
    std::vector<FileLayout> layouts;
    for (auto& shard : split_into_shards(std::move(tensors), shard_size))
        layouts.push_back(lay_out(std::move(shard), metadata));
    Output output({path, true, "test"}, layouts, {});
    write_data(output, layouts, contents);
    output.commit();
    return output.paths().back();
}

// Any dtypes, ranks and names, empty tensors included.
inline std::vector<OutputTensor> random_tensors(std::mt19937_64& random, size_t count) {
    std::vector<OutputTensor> tensors;
    while (tensors.size() < count) {
        const auto dtype = static_cast<ht_dtype>(1 + random() % HT_DTYPE_U64);
        Shape shape(random() % (HT_MAX_RANK + 1));
        for (uint64_t& size : shape)
            size = random() % 8 == 0 ? random() % 5 : 1 + random() % 2;
        const std::optional<uint64_t> bytes = byte_count(dtype, shape);
        if (!bytes) continue;
        constexpr std::string_view odd[] = {"weight", "bias", "é", "a\"b", "back\\slash",
                                            "\n",     "\x7F", "😀", ""};
        std::string name = std::to_string(random() % 1000) + "." +
                           std::string(odd[random() % std::size(odd)]) + std::to_string(tensors.size());
        tensors.push_back({std::move(name), dtype, std::move(shape), *bytes});
    }
    return tensors;
}

}  // namespace halftone::testing_checkpoints
