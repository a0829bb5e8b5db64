#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace halftone::os {

// A path as UTF-8, for messages and metadata.
std::string utf8(const std::filesystem::path&);

// A file by its descriptor. Positions are explicit, so that any thread may read and write at any time.
class File {
  public:
    enum class Advice { sequential, random };

    static File open_to_read(
        const std::filesystem::path&);  // Exit::input if it cannot be opened or is no regular file
    // Fails if it exists; Exit::failed. `private_to_owner`: nobody else may open it until its permissions
    // change.
    static File create_new(const std::filesystem::path&, bool private_to_owner = false);
    File() = default;
    File(File&&) noexcept;
    File& operator=(File&&) noexcept;
    ~File();

    explicit operator bool() const { return descriptor_ >= 0; }
    const std::filesystem::path& path() const { return path_; }
    uint64_t size() const;

    // Whole or an error (Exit::input): a file that became shorter since it was opened is named as such.
    void read(uint64_t offset, std::span<std::byte>) const;
    // Whole or an error: Exit::space if the disk is full, otherwise Exit::failed.
    void write(uint64_t offset, std::span<const std::byte>) const;

    void preallocate(uint64_t bytes) const;  // Exit::space if there is no room; sets the file's size
    void advise(Advice) const;
    void sync() const;
    void close();

    // Tells other processes that this one is at work on the file; see use_of(). Does nothing where the file
    // system has no locks.
    void mark_as_in_use() const;
    // Makes mode and, where the process may do so, owner and group those of another file. Who could not read
    // that one cannot read this one either.
    void take_permissions_of(const std::filesystem::path&) const;

  private:
    File(int descriptor, std::filesystem::path path) : descriptor_(descriptor), path_(std::move(path)) {}
    int descriptor_ = -1;
    std::filesystem::path path_;
};

// What changes when a file is written to, replaced, or given other rights. Links are followed.
struct FileState {
    uint64_t device = 0, number = 0, size = 0;
    int64_t modified = 0, changed = 0;  // in nanoseconds
    bool operator==(const FileState&) const = default;
};
std::optional<FileState> state_of(const std::filesystem::path&);  // nothing if there is no such file

bool same_file(const std::filesystem::path&,
               const std::filesystem::path&);  // both exist and are one, links followed
uint64_t free_space(const std::filesystem::path& folder);
void rename_over(const std::filesystem::path& from, const std::filesystem::path& to);  // atomic, replaces
void rename_if_absent(const std::filesystem::path& from,
                      const std::filesystem::path& to);  // atomic, never replaces
void sync_folder(const std::filesystem::path& folder);

}  // namespace halftone::os
