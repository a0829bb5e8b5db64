#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace halftone::test {

// Sanitizers have handlers, reports and memory of their own, and the programs that these tests run have them
// too.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

struct Finished {
    int code = -1;  // exit code, or -1 if a signal ended it
    int signal = 0;
    std::string out, err;
    uint64_t peak_memory = 0;  // resident, in bytes
};

struct RunSettings {
    std::vector<std::pair<std::string, std::string>> environment;  // set on top of the test's own
    // Called with the process id once it runs, from the test's thread: to send signals.
    std::function<void(int)> meanwhile = {};
    std::vector<int> closed = {};  // descriptors that are closed when it starts
    bool nobody_reads = false;     // its output and its messages go into a pipe whose other end is closed
};

// Runs the halftone binary that this build made.
Finished halftone(const std::vector<std::string>& arguments, const RunSettings& = {});

}  // namespace halftone::test
