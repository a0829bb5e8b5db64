#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace halftone::os {

// How a child process ended.
struct ChildEnd {
    int code = 0;       // its exit code, unless
    int signal = 0;     // a signal ended it, or
    bool late = false;  // it was killed because its time was over

    std::string told() const;  // "exit code 0", "signal 9 (Killed)"
};

// Runs `work` in a copy of this process and waits for its end. What it writes to the descriptor that it is
// given arrives here by lines, as they come. The child ends without destructors, exit handlers or flushed
// streams. `limit`: seconds until it is killed, 0 for none. Call it while the process has one thread.
ChildEnd in_child(const std::function<void(int descriptor)>& work,
                  const std::function<void(std::string_view line)>& line, double limit = 0);

// All of it, for the child.
void write_line(int descriptor, std::string text);

}  // namespace halftone::os
