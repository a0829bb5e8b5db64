#include "plugins/guard_bytes.hpp"

#include <cstdint>

#include "core/base/error.hpp"

namespace halftone {
namespace {

// No two neighbours are equal, so that neither a run of zeros nor a shifted copy goes unseen.
std::byte pattern(size_t i) {
    return static_cast<std::byte>(0xa5 ^ (i * 29));
}

}  // namespace

void fill_guard(std::span<std::byte> guard) {
    for (size_t i = 0; i < guard.size(); ++i)
        guard[i] = pattern(i);
}

bool guard_is_whole(std::span<const std::byte> guard) {
    for (size_t i = 0; i < guard.size(); ++i)
        if (guard[i] != pattern(i)) return false;
    return true;
}

void blame(const std::string& culprit, const char* function, const char* side, size_t size) {
    throw Error(Exit::plugin, culprit,
                fmt::format("{}() wrote {} the {} bytes that it was given", function, side, size),
                "the plugin is at fault: tell its authors");
}

}  // namespace halftone
