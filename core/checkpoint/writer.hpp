#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/partial_file.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/checkpoint/written.hpp"

namespace halftone {

// A tensor to be written.
struct OutputTensor {
    std::string name;
    ht_dtype dtype = 0;
    Shape shape;
    uint64_t bytes = 0;   // set by split_into_shards and lay_out
    uint64_t offset = 0;  // in the file, from its start; set by lay_out
};

// One file to be written: everything but the data of its tensors.
struct FileLayout {
    std::string header;                 // the length word, the JSON and its padding
    std::vector<OutputTensor> tensors;  // in the order of their data
    uint64_t size = 0;                  // of the whole file
};

// Orders tensors as the reference writer does (widest dtype first, then by name), gives each its offset,
// naturally aligned and without gaps, and serialises the header byte for byte as that writer would. Needs
// dtype, shape and name; fills in the rest.
FileLayout lay_out(std::vector<OutputTensor>, const Metadata&);

// Distributes tensors over files of at most shard_size bytes of data each (a larger tensor gets one of its
// own), in the order of their layers' names, so that what belongs to a layer stays together where it can. 0:
// one file.
std::vector<std::vector<OutputTensor>> split_into_shards(std::vector<OutputTensor>, uint64_t shard_size);

// "model-00001-of-00004.safetensors" for model.safetensors and index 0.
std::filesystem::path shard_path(const std::filesystem::path& output, size_t index, size_t count);

// "model.safetensors.index.json" for model.safetensors.
std::filesystem::path index_path(const std::filesystem::path& output);

// Output files under way: written under temporary names in the same folder, and removed again unless
// committed.
class Output {
  public:
    struct Settings {
        std::filesystem::path path;  // of the single file; shards and their index are named after it
        bool replace = false;        // an existing output may be replaced
        std::string tag;             // goes into the temporary names
        bool remember = false;       // what is written, for pieces()
        // Of existing files only safetensors files, and the index of shards, may be replaced.
        bool replace_checkpoints_only = false;
    };
    // Claims the output (Exit::failed while another process is writing it), puts right what a killed run left
    // of it, and checks it as check_output does; then creates and preallocates every file and writes the
    // headers. One layout makes the file itself, several make shards and an index.
    Output(Settings, std::vector<FileLayout>, std::span<const std::filesystem::path> inputs);
    ~Output();
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    void write(size_t file, uint64_t offset, std::span<const std::byte>) const;  // any thread
    void commit();                                                               // fsync, then put_in_place
    std::vector<std::filesystem::path> paths() const;  // final names, the index included

    // For a look at what was written before it gets its names: the files under way, in the order of paths(),
    // and what they should hold, headers and index included.
    std::vector<std::filesystem::path> temporaries() const;
    std::vector<WrittenPieces::Piece> pieces() const;

    // Partial files of earlier runs with the same output: those that were removed, and those that were left,
    // because a process is at work on them or nobody can tell.
    const Sweep& earlier() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// The checks of Output's constructor that need no layout, for `plan`: nothing is created. Exit::usage if the
// output's folder does not exist, if the output is one of `inputs` (seen through links), if it exists and may
// not be replaced, or if another checkpoint of the same name (an index, shards of another number) would stay
// beside it: replacing overwrites files of the same name and never deletes others, so that nobody
// loses a model that happened to be called alike. Exit::space if `bytes` do not fit on the disk; what an
// output to be replaced takes is no room, since it stays until the new one is complete. Whether the folder
// may be written to shows when files are created.
void check_output(const Output::Settings&, uint64_t bytes, std::span<const std::filesystem::path> inputs,
                  size_t files = 1);

}  // namespace halftone
