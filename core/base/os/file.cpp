#include "core/base/os/file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "core/base/error.hpp"

namespace halftone::os {

namespace {

std::string reason(int error) {
    return std::generic_category().message(error);
}

Exit class_of(int error, Exit otherwise) {
    return error == ENOSPC || error == EDQUOT ? Exit::space : otherwise;
}

std::string advice_for(int error) {
    switch (error) {
        case ENOSPC:
            return "free some space or write to another disk";
        case EDQUOT:
            return "your quota on this file system is used up";
        case EFBIG:
            return "this file system cannot hold a file of that size";
        case EMFILE:
            return "raise the limit of open files (ulimit -n)";
        default:
            return {};
    }
}

// What the system refused to do with a file, and why.
[[noreturn]] void refuse(const std::filesystem::path& path, const char* action, int error, Exit otherwise) {
    throw Error(class_of(error, otherwise), utf8(path), fmt::format("cannot {}: {}", action, reason(error)),
                advice_for(error));
}

template <class Call>
auto unless_interrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR)
        result = call();
    return result;
}

struct stat status_of(int descriptor, const std::filesystem::path& path, Exit otherwise) {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) refuse(path, "look at the file", errno, otherwise);
    return status;
}

// Linux refuses more than this in one call, and a signal need not wait for gigabytes.
constexpr size_t largest_transfer = size_t{1} << 30;

const char* folder_or_here(const std::filesystem::path& folder) {
    return folder.empty() ? "." : folder.c_str();
}

}  // namespace

std::string utf8(const std::filesystem::path& path) {
    const std::u8string text = path.u8string();
    return {text.begin(), text.end()};
}

File File::open_to_read(const std::filesystem::path& path) {
    // Not waiting: opening a pipe must fail below, not hang here.
    const int descriptor =
        unless_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
    if (descriptor < 0) refuse(path, "open the file", errno, Exit::input);
    File file(descriptor, path);
    const struct stat status = status_of(descriptor, path, Exit::input);
    if (S_ISDIR(status.st_mode)) fail(Exit::input, utf8(path), "this is a folder, not a file");
    if (!S_ISREG(status.st_mode)) fail(Exit::input, utf8(path), "this is no regular file");
    return file;
}

File File::create_new(const std::filesystem::path& path, bool private_to_owner) {
    const mode_t mode = private_to_owner ? 0600 : 0666;
    const int descriptor =
        unless_interrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode); });
    if (descriptor < 0) refuse(path, "create the file", errno, Exit::failed);
    return {descriptor, path};
}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
    if (this != &other) {
        if (descriptor_ >= 0) ::close(descriptor_);
        descriptor_ = std::exchange(other.descriptor_, -1);
        path_ = std::move(other.path_);
    }
    return *this;
}

File::~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

uint64_t File::size() const {
    return static_cast<uint64_t>(status_of(descriptor_, path_, Exit::failed).st_size);
}

void File::read(uint64_t offset, std::span<std::byte> to) const {
    size_t done = 0;
    while (done < to.size()) {
        const size_t want = std::min(to.size() - done, largest_transfer);
        const ssize_t got = unless_interrupted(
            [&] { return ::pread(descriptor_, to.data() + done, want, static_cast<off_t>(offset + done)); });
        if (got < 0) refuse(path_, "read", errno, Exit::input);
        if (got == 0)
            throw Error(Exit::input, utf8(path_),
                        fmt::format("the file ends at byte {}, but {} bytes were expected from byte {} on",
                                    offset + done, to.size(), offset),
                        "it has become shorter since it was opened; is something else writing to it?");
        done += static_cast<size_t>(got);
    }
}

void File::write(uint64_t offset, std::span<const std::byte> from) const {
    size_t done = 0;
    while (done < from.size()) {
        const size_t want = std::min(from.size() - done, largest_transfer);
        const ssize_t put = unless_interrupted([&] {
            return ::pwrite(descriptor_, from.data() + done, want, static_cast<off_t>(offset + done));
        });
        if (put < 0) refuse(path_, "write", errno, Exit::failed);
        // POSIX has no meaning for this; treating it as a full disk ends what would be an endless loop.
        if (put == 0) refuse(path_, "write", ENOSPC, Exit::failed);
        done += static_cast<size_t>(put);
    }
}

void File::preallocate(uint64_t bytes) const {
    const auto length = static_cast<off_t>(bytes);
    // Asked first: a file system may take all the space there is before it finds that it is not enough, and
    // others on the machine would run out of it meanwhile.
    struct statvfs disk {};
    if (::fstatvfs(descriptor_, &disk) == 0 && bytes > static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize)
        refuse(path_, "reserve space", ENOSPC, Exit::failed);
#if defined(__linux__)
    // Not posix_fallocate(): where the file system cannot reserve, it writes the whole file.
    const int result =
        bytes == 0 ? 0 : unless_interrupted([&] { return ::fallocate(descriptor_, 0, 0, length); });
    if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        refuse(path_, "reserve space", errno, Exit::failed);
#endif
    if (unless_interrupted([&] { return ::ftruncate(descriptor_, length); }) != 0)
        refuse(path_, "set the size of the file", errno, Exit::failed);
}

void File::advise(Advice advice) const {
#if defined(POSIX_FADV_SEQUENTIAL)
    // Only a hint: a system that does not take it reads as well.
    ::posix_fadvise(descriptor_, 0, 0,
                    advice == Advice::sequential ? POSIX_FADV_SEQUENTIAL : POSIX_FADV_RANDOM);
#else
    (void)advice;
#endif
}

void File::sync() const {
    if (unless_interrupted([&] { return ::fsync(descriptor_); }) != 0)
        refuse(path_, "bring the file to the disk", errno, Exit::failed);
}

void File::close() {
    // Even when this fails the descriptor is gone; EINTR included, so that it must not be tried again.
    const int descriptor = std::exchange(descriptor_, -1);
    if (descriptor >= 0 && ::close(descriptor) != 0 && errno != EINTR)
        refuse(path_, "close the file", errno, Exit::failed);
}

void File::mark_as_in_use() const {
    ::flock(descriptor_, LOCK_EX | LOCK_NB);
}

void File::take_permissions_of(const std::filesystem::path& other) const {
    struct stat wanted {};
    if (::stat(other.c_str(), &wanted) != 0) return;
    const struct stat own = status_of(descriptor_, path_, Exit::failed);
    mode_t mode = wanted.st_mode & 0777;
    const bool owner = own.st_uid == wanted.st_uid || ::fchown(descriptor_, wanted.st_uid, gid_t(-1)) == 0;
    const bool group = own.st_gid == wanted.st_gid || ::fchown(descriptor_, uid_t(-1), wanted.st_gid) == 0;
    // Bits that were meant for another group would let a stranger's group in.
    if (!group) mode = (mode & ~mode_t(070)) | (mode & (mode << 3) & 070);
    if (!owner) mode |= 0600;
    if (::fchmod(descriptor_, mode) != 0) refuse(path_, "set the mode of the file", errno, Exit::failed);
}

std::optional<FileState> state_of(const std::filesystem::path& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    const auto nanoseconds = [](const timespec& time) {
        return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
    };
    return FileState{status.st_dev, status.st_ino, static_cast<uint64_t>(status.st_size),
                     nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
    struct stat first {
    }, second{};
    return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

uint64_t free_space(const std::filesystem::path& folder) {
    struct statvfs status {};
    if (unless_interrupted([&] { return ::statvfs(folder_or_here(folder), &status); }) != 0)
        refuse(folder, "ask for the free space", errno, Exit::failed);
    return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

void rename_over(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0)
        refuse(to, fmt::format("rename {} to this", utf8(from.filename())).c_str(), errno, Exit::failed);
}

void rename_if_absent(const std::filesystem::path& from, const std::filesystem::path& to) {
    const std::string action = fmt::format("rename {} to this", utf8(from.filename()));
#if defined(__linux__)
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return;
    if (errno != EINVAL && errno != ENOSYS) refuse(to, action.c_str(), errno, Exit::failed);
#endif
    if (::link(from.c_str(), to.c_str()) == 0) {
        if (::unlink(from.c_str()) == 0) return;
        const int error = errno;
        ::unlink(to.c_str());  // one name, as before
        refuse(from, "remove the temporary name", error, Exit::failed);
    }
    // Network and foreign file systems may have neither. Then a file that appears between these two lines is
    // replaced; there is no better way to have a whole file or none under the name.
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        refuse(to, action.c_str(), errno, Exit::failed);
    struct stat status {};
    if (::lstat(to.c_str(), &status) == 0) refuse(to, action.c_str(), EEXIST, Exit::failed);
    rename_over(from, to);
}

void sync_folder(const std::filesystem::path& folder) {
    const int descriptor = unless_interrupted(
        [&] { return ::open(folder_or_here(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (descriptor < 0) refuse(folder, "open the folder", errno, Exit::failed);
    const int result = unless_interrupted([&] { return ::fsync(descriptor); });
    const int error = errno;
    ::close(descriptor);
    // Some file systems cannot sync a folder; they keep names in their own way.
    if (result != 0 && error != EINVAL && error != EROFS && error != EOPNOTSUPP)
        refuse(folder, "bring the folder to the disk", error, Exit::failed);
}

}  // namespace halftone::os
