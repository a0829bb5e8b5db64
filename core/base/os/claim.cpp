#include "core/base/os/claim.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"

namespace halftone::os {
namespace {

constexpr int never_a_link_or_a_pipe = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

// Another user's file may be readable only; a lock needs no more, except on network file systems.
int open_to_lock(const std::filesystem::path& path, int more) {
    const int descriptor = ::open(path.c_str(), O_RDWR | never_a_link_or_a_pipe | more, 0666);
    if (descriptor >= 0 || (errno != EACCES && errno != EPERM)) return descriptor;
    const int error = errno;
    const int to_read = ::open(path.c_str(), O_RDONLY | never_a_link_or_a_pipe);
    if (to_read < 0) errno = error;
    return to_read;
}

bool is_at(int descriptor, const std::filesystem::path& path) {
    struct stat opened {
    }, there{};
    return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &there) == 0 &&
           opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

bool is_regular(int descriptor) {
    struct stat status {};
    return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

// Programs that mark nothing are seen all the same: the system grants such a lease only while nobody else has
// the file open.
bool is_open_elsewhere(int descriptor) {
#if defined(F_SETLEASE) && defined(F_SETSIG)
    ::fcntl(descriptor, F_SETSIG, SIGURG);  // ignored by default, unlike SIGIO
    const bool refused = ::fcntl(descriptor, F_SETLEASE, F_WRLCK) != 0;
    const int error = errno;
    if (!refused) ::fcntl(descriptor, F_SETLEASE, F_UNLCK);
    return refused && error == EAGAIN;
#else
    (void)descriptor;
    return false;
#endif
}

}  // namespace

std::optional<Claim> Claim::take(const std::filesystem::path& path) {
    for (;;) {
        const int descriptor = open_to_lock(path, O_CREAT);
        const int error = errno;
        if (descriptor < 0)
            throw Error(error == ENOSPC || error == EDQUOT ? Exit::space : Exit::failed, utf8(path),
                        fmt::format("cannot create the file: {}", std::generic_category().message(error)));
        Claim claim(descriptor, path);
        if (!is_regular(descriptor)) {
            ::close(std::exchange(claim.descriptor_, -1));
            fail(Exit::failed, utf8(path), "this is no regular file, and stands where a lock has to be");
        }
        if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
            ::close(std::exchange(claim.descriptor_, -1));
            return std::nullopt;
        }
        if (is_at(descriptor, path)) return claim;
        // The one who had it removed the file before this process could lock it.
        ::close(std::exchange(claim.descriptor_, -1));
    }
}

Claim::Claim(Claim&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

Claim& Claim::operator=(Claim&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(path_, other.path_);
    return *this;
}

Claim::~Claim() {
    if (descriptor_ < 0) return;
    if (is_at(descriptor_, path_)) ::unlink(path_.c_str());  // while it is locked: nobody waits for it
    ::close(descriptor_);
}

Use use_of(const std::filesystem::path& path) {
    const int descriptor = open_to_lock(path, 0);
    if (descriptor < 0) return Use::unknown;
    Use use = Use::nobody;
    if (!is_regular(descriptor))
        use = Use::unknown;
    else if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        use = errno == EWOULDBLOCK ? Use::somebody : Use::unknown;
    else if (is_open_elsewhere(descriptor))
        use = Use::somebody;
    ::close(descriptor);
    return use;
}

}  // namespace halftone::os
