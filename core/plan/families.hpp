#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"

namespace halftone {

// The tensors of a checkpoint, in ascending order of names; of quantized layers as they are stored.
using Header = std::span<const Tensor>;

// What tells a family of models, or another kind of files, from the names of its tensors.
struct Evidence {
    std::string id, name, loader;
    std::vector<std::string> has, lacks;  // after the prefix; globs
    std::vector<std::pair<std::string, std::string>> shapes;
    bool prefixed = true;  // may have a prefix
};

// A family of models, and what a loader reads off the shapes of its tensors.
struct Family : Evidence {
    std::vector<std::string> columns, rows;  // layers, as globs
    std::vector<std::string> companions;     // layers that take nothing beside their weight
    std::string companions_say;
};

// A file that is no model in the layout that its loader wants.
struct FileKind : Evidence {
    bool quantized = true;  // false: quantized layers are not taken
    std::string says;
};

// A family as it was found in a checkpoint.
struct FoundFamily {
    const Family* family = nullptr;
    std::string prefix;

    bool reads_columns(std::string_view layer) const;
    bool reads_rows(std::string_view layer) const;
    bool takes_no_companions(std::string_view layer) const;

  private:
    bool is_among(const std::vector<std::string>& globs, std::string_view layer) const;
};

// What families.toml says.
class Families {
  public:
    // The file installed with the program, and before it the user's, or `own` in its place. Exit::usage with
    // file:line:column for every mistake in one.
    static Families standard(const std::filesystem::path& own = {});
    static std::filesystem::path installed_file();

    // Puts the entries of one file before what is known.
    void add(const std::string& toml, const std::string& name);

    FoundFamily family_of(Header, const std::string& loader) const;    // null: none that is known
    const FileKind* kind_of(Header, const std::string& loader) const;  // null: nothing to say

  private:
    std::vector<std::string> prefixes_ = {""};
    std::vector<Family> families_;
    std::vector<FileKind> kinds_;
};

}  // namespace halftone
