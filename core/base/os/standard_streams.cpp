#include "core/base/os/standard_streams.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace halftone::os {

void open_standard_streams() {
    for (int descriptor = 0; descriptor <= 2; ++descriptor) {
        if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest free number is the one that is missing. Without a /dev (in a jail) anything that holds
        // it will do: what is written to a folder is lost, too.
        if (::open("/dev/null", O_RDWR) < 0) (void)::open("/", O_RDONLY | O_DIRECTORY);
    }
}

void ignore_broken_pipes() {
    ::signal(SIGPIPE, SIG_IGN);
}

bool reader_is_gone(int descriptor) {
    pollfd asked{descriptor, POLLOUT, 0};
    return ::poll(&asked, 1, 0) == 1 && (asked.revents & POLLERR) != 0;
}

}  // namespace halftone::os
