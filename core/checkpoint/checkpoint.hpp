#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/os/file.hpp"
#include "core/tensor/dtype.hpp"

namespace halftone {

// A tensor of a checkpoint, as its header tells.
struct Tensor {
    std::string name;
    ht_dtype dtype = 0;
    Shape shape;
    uint64_t bytes = 0;
    uint32_t file = 0;    // index into Checkpoint::files()
    uint64_t offset = 0;  // in that file, from its start
};

// Metadata of a file, in its order.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// One safetensors file of a checkpoint.
struct CheckpointFile {
    std::filesystem::path path;
    uint64_t size = 0;
    uint64_t header_bytes = 0;      // of the JSON
    std::string header_sha256;      // of the length word and the JSON
    Metadata metadata;              // of this file alone
    std::vector<uint32_t> tensors;  // indices into Checkpoint::tensors(), in the order of their data
};

// A checkpoint to read: one safetensors file, or several with an index, or a folder that holds one of these.
// Opening reads and checks the headers only (Exit::input, with the file and the reason, if anything is off).
class Checkpoint {
  public:
    static Checkpoint open(const std::filesystem::path&);

    // Files that are parts of one checkpoint, whatever their names: shards whose index has no place yet.
    // `path`: what the checkpoint goes by.
    static Checkpoint open_parts(const std::filesystem::path& path,
                                 const std::vector<std::filesystem::path>& files);

    const std::filesystem::path& path() const;  // as given
    const std::vector<CheckpointFile>& files() const;
    const std::vector<Tensor>& tensors() const;  // in ascending order of names
    const Tensor* find(std::string_view name) const;
    const Metadata& metadata() const;  // of all files; of unequal values the first counts
    uint64_t total_bytes() const;      // of all tensors
    std::vector<std::filesystem::path> sources()
        const;  // every file that was read, the index of shards included

    // Exit::input if one of the sources is not what it was when it was opened: written to, replaced or
    // removed.
    void refuse_changes() const;

    // What is strange but not wrong, one line each, for warnings.
    const std::vector<std::string>& remarks() const;

    void read(const Tensor&, uint64_t offset, std::span<std::byte>) const;  // any thread
    std::vector<std::byte> read_all(const Tensor&) const;                   // for small ones

  private:
    struct State;
    explicit Checkpoint(std::shared_ptr<const State> state) : state_(std::move(state)) {}
    std::shared_ptr<const State> state_;
};

// Limits for hostile headers. The first is the format's own; the others, which the specification leaves open,
// are far beyond anything real.
struct HeaderLimits {
    uint64_t json_bytes = 100'000'000;
    uint64_t metadata_entries = 100'000;  // a few bytes of text each, but many more in memory
    unsigned depth = 16;
};

// Parses and checks the header of one file, as a stream: memory grows with the number of tensors, not with
// the text.
//
// As strict as the reference reader, and stricter where that one lets things vanish: a name or key that comes
// twice is an error, and so is a name that no C string can hold. Members of a tensor's entry that are not
// part of the format are accepted as every other reader does, since none of them could make use of them
// either; a remark tells.
struct ParsedHeader {
    std::vector<Tensor> tensors;  // in the order of their data
    Metadata metadata;
    uint64_t json_bytes = 0;
    std::string sha256;
    std::vector<std::string> remarks;
};
ParsedHeader parse_header(const os::File&, const HeaderLimits& = {});

}  // namespace halftone
