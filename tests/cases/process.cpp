#include "tests/cases/process.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace halftone::test {
namespace {

std::string contents(int file) {
    std::string text;
    std::array<char, 65536> buffer;
    lseek(file, 0, SEEK_SET);
    for (ssize_t n; (n = read(file, buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<size_t>(n));
    close(file);
    return text;
}

// An unnamed file: unlike a pipe it never fills up and blocks the child.
int unnamed_file() {
    std::string name = "/tmp/halftone-test-XXXXXX";
    const int file = mkstemp(name.data());
    if (file < 0) throw std::runtime_error("no temporary file");
    unlink(name.c_str());
    return file;
}

}  // namespace

Finished halftone(const std::vector<std::string>& arguments, const RunSettings& settings) {
    const int out = unnamed_file(), err = unnamed_file();
    std::vector<std::string> words = {HALFTONE_BINARY};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);

    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
        dup2(out, 1);
        dup2(err, 2);
        close(0);
        open("/dev/null", O_RDONLY);
        std::array<int, 2> ends{};
        if (settings.nobody_reads && pipe(ends.data()) == 0) {
            signal(SIGPIPE, SIG_DFL);
            dup2(ends[1], 1);
            dup2(ends[1], 2);
            close(ends[0]);
            close(ends[1]);
        }
        for (const int descriptor : settings.closed)
            close(descriptor);
        if (!settings.closed.empty()) close(out), close(err);  // the next numbers would be free otherwise
        for (const auto& [name, value] : settings.environment)
            setenv(name.c_str(), value.c_str(), 1);
        execv(argv[0], argv.data());
        _exit(127);
    }
    if (settings.meanwhile) settings.meanwhile(child);
    int status = 0;
    rusage used{};
    wait4(child, &status, 0, &used);
    Finished finished;
    finished.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    finished.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    finished.out = contents(out);
    finished.err = contents(err);
    finished.peak_memory = static_cast<uint64_t>(used.ru_maxrss) * 1024;
    return finished;
}

}  // namespace halftone::test
