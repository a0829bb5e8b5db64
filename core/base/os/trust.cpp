#include "core/base/os/trust.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <optional>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/writers.hpp"

namespace halftone::os {

namespace {

namespace fs = std::filesystem;

std::string message(int error) {
    return std::generic_category().message(error);
}

// From the root down: where nobody else may write to a folder, what is in it keeps its name and its owner, so
// that the folder found next is the one that stays there.
std::string distrust_folders(const fs::path& folder) {
    fs::path at;
    for (const fs::path& part : folder) {
        at /= part;
        const bool above = at != folder;
        const std::string what = fmt::format("{} ({})", above ? "a folder above it" : "its folder", utf8(at));
        const Permissions permissions = permissions_of(at);
        if (!S_ISDIR(permissions.status.st_mode)) return fmt::format("{} is no folder any more", what);
        if (std::string owner = untrusted_owner(permissions, what); !owner.empty()) return owner;
        // Under a sticky bit only a file's owner may remove or rename it.
        if (above && (permissions.status.st_mode & S_ISVTX)) continue;
        if (std::string writer = untrusted_writer(permissions, what); !writer.empty()) return writer;
    }
    return {};
}

std::string distrust_file(const Permissions& permissions) {
    if (!S_ISREG(permissions.status.st_mode)) return "this is no regular file";
    std::string reason = untrusted_owner(permissions, "this file");
    return reason.empty() ? untrusted_writer(permissions, "this file") : reason;
}

// One for each folder, open as long as the process: its number in a path always means the same folder, as the
// dynamic loader expects of names.
int lasting_descriptor(const fs::path& folder) {
    static std::mutex mutex;
    static auto* const known = new std::map<std::pair<dev_t, ino_t>, int>;
    const std::lock_guard lock(mutex);
    const int descriptor = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status {};
    if (descriptor < 0 || ::fstat(descriptor, &status) != 0)
        throw std::system_error(errno, std::generic_category());
    const auto [at, added] = known->emplace(std::pair(status.st_dev, status.st_ino), descriptor);
    if (!added) ::close(descriptor);
    return at->second;
}

fs::path below(int descriptor) {
    return fmt::format("/proc/self/fd/{}", descriptor);
}

bool same(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

std::string distrust(const fs::path& path) {
    std::error_code problem;
    const fs::path real = fs::canonical(path, problem);
    if (problem) return problem.message();
    try {
        std::string reason = distrust_file(permissions_of(real));
        return reason.empty() ? distrust_folders(real.parent_path()) : reason;
    } catch (const std::system_error& error) {
        return error.code().message();
    }
}

CodeFile CodeFile::open(const fs::path& path) {
    const auto refuse = [&](const std::string& reason) { fail(Exit::plugin, utf8(path), "{}", reason); };
    try {
        fs::path real = fs::canonical(path);
        if (const std::string reason = distrust_folders(real.parent_path()); !reason.empty()) refuse(reason);
        const int folder = lasting_descriptor(real.parent_path());
        // Not waiting: it may turn out to be a pipe.
        const int descriptor =
            ::openat(folder, real.filename().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (descriptor < 0) refuse("cannot be opened: " + message(errno));
        CodeFile file(descriptor, folder, std::move(real));
        if (const std::string reason = distrust_file(permissions_of(descriptor)); !reason.empty())
            refuse(reason);
        return file;
    } catch (const std::system_error& error) {
        refuse("cannot be opened: " + error.code().message());
        throw;
    }
}

CodeFile::CodeFile(CodeFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      folder_(other.folder_),
      real_path_(std::move(other.real_path_)) {}

CodeFile::~CodeFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

fs::path CodeFile::to_read() const {
    const fs::path name = below(descriptor_);
    std::error_code ignored;
    return fs::exists(name, ignored) ? name : real_path_;  // without /proc
}

fs::path CodeFile::to_load() const {
    const fs::path name = below(folder_) / real_path_.filename();
    struct stat opened {
    }, named{};
    if (::fstat(descriptor_, &opened) != 0) return name;
    if (::stat(name.c_str(), &named) != 0) return real_path_;  // without /proc
    if (!same(opened, named)) fail(Exit::plugin, utf8(real_path_), "was replaced while it was looked at");
    return name;
}

}  // namespace halftone::os
