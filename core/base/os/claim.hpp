#pragma once

#include <filesystem>
#include <optional>

namespace halftone::os {

// What only one process may do at a time, claimed by a lock on a file. The system gives the lock back when
// the process ends, however it ends.
class Claim {
  public:
    // Makes the file if it is not there. Nothing if another process has the claim. Where the file system has
    // no locks everybody gets it: there it protects nobody, and hinders nobody either.
    static std::optional<Claim> take(const std::filesystem::path&);

    Claim(Claim&&) noexcept;
    Claim& operator=(Claim&&) noexcept;
    ~Claim();  // removes the file

  private:
    Claim(int descriptor, std::filesystem::path path) : descriptor_(descriptor), path_(std::move(path)) {}
    int descriptor_;
    std::filesystem::path path_;
};

// Is a process at work on a file? `unknown` where the file system has no locks, or the file may not be
// opened.
enum class Use { nobody, somebody, unknown };
Use use_of(const std::filesystem::path&);

}  // namespace halftone::os
