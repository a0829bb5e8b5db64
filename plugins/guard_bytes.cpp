#include "plugins/guard_bytes.hpp"

#include <atomic>
#include <utility>

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

namespace {

// Overruns show at one side, underruns at the other: every buffer gets its turn at both.
os::FencedMemory::Touching next_side() {
    static std::atomic<unsigned> turn = 0;
    return turn++ % 2 == 0 ? os::FencedMemory::Touching::end : os::FencedMemory::Touching::start;
}

constexpr size_t alignment = 64;

}  // namespace

WatchedCopy::WatchedCopy(Watch watch, std::span<const std::byte> buffer) : size_(buffer.size()) {
    if (watch == Watch::fenced) {
        fenced_ = std::make_unique<os::FencedMemory>(size_, alignment, next_side());
        before_ = fenced_->before();
        after_ = fenced_->after();
        data_ = fenced_->data().data();
    } else {
        memory_ = AlignedBytes(size_ + 2 * guard_size);
        before_ = memory_.bytes().first(guard_size);
        after_ = memory_.bytes().last(guard_size);
        data_ = memory_.data() + guard_size;
    }
    fill_guard(before_);
    fill_guard(after_);
    std::ranges::copy(buffer, data_);
}

WatchedCopy::~WatchedCopy() = default;

void WatchedCopy::check(const std::string& culprit, const char* function) const {
    if (!guard_is_whole(before_)) blame(culprit, function, "before", size_);
    if (!guard_is_whole(after_)) blame(culprit, function, "after", size_);
}

AlignedBytes fenced_bytes(size_t size) {
    auto memory = std::make_shared<os::FencedMemory>(size, alignment, next_side());
    fill_guard(memory->before());
    fill_guard(memory->after());
    const std::span<std::byte> whole(memory->data().data(), size + memory->after().size());
    return {whole, std::move(memory)};
}

void blame(const std::string& culprit, const char* function, const char* side, size_t size) {
    throw Error(Exit::plugin, culprit,
                fmt::format("{}() wrote {} the {} bytes that it was given", function, side, size),
                "the plugin is at fault: tell its authors");
}

}  // namespace halftone
