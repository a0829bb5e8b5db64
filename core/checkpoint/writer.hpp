#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"

namespace halftone {

// A tensor to be written.
struct OutputTensor {
    std::string name;
    ht_dtype dtype = 0;
    Shape shape;
    uint64_t bytes = 0;
    uint64_t offset = 0;  // in the file, from its start; set by lay_out
};

// One file to be written: everything but the data of its tensors.
struct FileLayout {
    std::string header;  // the length word, the JSON and its padding
    std::vector<OutputTensor> tensors;  // in the order of their data
    uint64_t size = 0;                  // of the whole file
};

// Orders tensors as the reference writer does (widest dtype first, then by name), gives each its aligned offset
// and serialises the header. Needs dtype, shape and name; fills in the rest.
FileLayout lay_out(std::vector<OutputTensor>, const Metadata&);

// Distributes tensors over files of at most shard_size bytes of data each (a larger tensor gets one of its own), in
// the order of their names, so that what belongs to a layer stays together where it can. 0: one file.
std::vector<std::vector<OutputTensor>> split_into_shards(std::vector<OutputTensor>, uint64_t shard_size);

// "model-00001-of-00004.safetensors" for model.safetensors.
std::filesystem::path shard_path(const std::filesystem::path& output, size_t index, size_t count);

// Output files under way: written under temporary names in the same folder, and removed again unless committed.
class Output {
  public:
    struct Settings {
        std::filesystem::path path;  // of the single file; shards and their index are named after it
        bool replace = false;        // an existing output may be replaced
        std::string tag;             // goes into the temporary names
    };
    // Checks that the output does not exist (or may be replaced), that it is none of `inputs`, that its folder exists
    // and that there is room; then creates and preallocates every file and writes the headers.
    Output(Settings, std::vector<FileLayout>, std::span<const std::filesystem::path> inputs);
    ~Output();
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    void write(size_t file, uint64_t offset, std::span<const std::byte>) const;  // any thread
    void commit();  // fsync, rename; the index of shards comes last
    std::vector<std::filesystem::path> paths() const;  // final names, the index included

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// The checks of Output's constructor that need no layout, for `plan`: nothing is created.
void check_output(const Output::Settings&, uint64_t bytes, std::span<const std::filesystem::path> inputs);

}  // namespace halftone
