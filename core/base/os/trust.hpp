#pragma once

#include <filesystem>
#include <string>

namespace halftone::os {

// Why code must not be taken from a file: "" if nobody else may change it, or a reason for a person.
//
// Trusted are root, the user of this process, and who could replace the running program anyway: its owner and
// the owners of the folders above it. Nobody else may own or write to the file, its folder or any folder
// above that, be it by mode bits, as a member of a group or by an access list. In a folder above, the sticky
// bit (as of /tmp) makes writing harmless. Links are followed first.
std::string distrust(const std::filesystem::path&);

// A file that nobody else may change, held open, so that what has been checked is what is read and loaded.
class CodeFile {
  public:
    static CodeFile open(const std::filesystem::path&);  // Exit::plugin with the path and the reason
    CodeFile(CodeFile&&) noexcept;
    CodeFile& operator=(CodeFile&&) = delete;
    ~CodeFile();

    // Names of this very file for functions that take a path. The one for the dynamic loader goes by way of
    // its folder's descriptor, so that what the library wants from $ORIGIN is found there; it stays valid.
    std::filesystem::path to_read() const;
    std::filesystem::path to_load() const;
    const std::filesystem::path& real_path() const { return real_path_; }

  private:
    CodeFile(int descriptor, int folder, std::filesystem::path real_path)
        : descriptor_(descriptor), folder_(folder), real_path_(std::move(real_path)) {}
    int descriptor_, folder_;
    std::filesystem::path real_path_;
};

}  // namespace halftone::os
