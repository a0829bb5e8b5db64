#include "core/base/os/process.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#include <sys/ioctl.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "core/base/error.hpp"

namespace halftone::os {

namespace {

std::atomic<uint64_t> memory_peak = 0;

std::optional<uint64_t> number(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end == text.data()) return std::nullopt;
    return value;
}

std::string first_line(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// The control groups that this process lies in, from its own upwards; each may limit it. Version 2 only.
std::vector<std::filesystem::path> control_groups() {
    std::vector<std::filesystem::path> folders;
    const std::filesystem::path root = "/sys/fs/cgroup";
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("0::/")) continue;
        for (auto folder = (root / line.substr(4)).lexically_normal();; folder = folder.parent_path()) {
            folders.push_back(folder);
            if (folder == root || !folder.has_relative_path()) break;
        }
    }
    return folders;
}

uint64_t page_size() {
    return static_cast<uint64_t>(std::max(1L, ::sysconf(_SC_PAGESIZE)));
}

// The XDG rules: a relative path is to be ignored.
std::filesystem::path user_folder(const char* variable, const char* below_home) {
    if (const auto folder = environment(variable); folder && folder->starts_with('/')) return *folder;
    if (const auto home = environment("HOME"); home && home->starts_with('/'))
        return std::filesystem::path(*home) / below_home;
    return {};
}

}  // namespace

std::filesystem::path executable() {
    std::error_code error;
    std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error)
        fail(Exit::failed, "/proc/self/exe", "cannot tell where the running binary lies: {}",
             error.message());
    return path;
}

std::filesystem::path user_config_folder() {
    return user_folder("XDG_CONFIG_HOME", ".config");
}

std::filesystem::path user_data_folder() {
    return user_folder("XDG_DATA_HOME", ".local/share");
}

std::optional<std::string> environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? std::optional<std::string>(value) : std::nullopt;
}

unsigned processors() {
    long count = ::sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) count = CPU_COUNT(&allowed);
#endif
    for (const auto& group :
         control_groups()) {  // "200000 100000": two processors' worth; "max 100000": no limit
        const std::string line = first_line(group / "cpu.max");
        const size_t space = line.find(' ');
        if (space == std::string::npos) continue;
        const auto quota = number(line), period = number(std::string_view(line).substr(space));
        if (quota && period && *period > 0)
            count = std::min(count, static_cast<long>((*quota + *period - 1) / *period));
    }
    return static_cast<unsigned>(std::max(1L, count));
}

uint64_t total_memory() {
    uint64_t memory = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES))) * page_size();
    for (const auto& group : control_groups())
        if (const auto limit = number(first_line(group / "memory.max")); limit && *limit > 0)
            memory = std::min(memory, *limit);
    return memory;
}

uint64_t anonymous_memory() {
    std::ifstream status("/proc/self/status");
    constexpr std::string_view key = "RssAnon:";
    uint64_t now = 0;
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(key)) now = number(std::string_view(line).substr(key.size())).value_or(0) * 1024;
    uint64_t seen = memory_peak.load();
    while (seen < now && !memory_peak.compare_exchange_weak(seen, now)) {
    }
    return now;
}

uint64_t anonymous_memory_peak() {
    anonymous_memory();
    return memory_peak.load();
}

void return_freed_memory() {
#ifdef __GLIBC__
    // Fixed, both: the allocator would raise them to the largest blocks that it has seen freed.
    constexpr int large = 256 << 10;
    ::mallopt(M_MMAP_THRESHOLD, large);
    ::mallopt(M_TRIM_THRESHOLD, large);
#endif
}

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_terminal(int descriptor) {
    return ::isatty(descriptor) == 1;
}

int terminal_width(int descriptor) {
    winsize size{};
    return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace halftone::os
