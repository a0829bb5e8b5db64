#include "plugins/host.hpp"

#include <deque>
#include <limits>
#include <mutex>
#include <new>
#include <span>

#include <halftone/abi.h>

#include "core/base/log.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/process.hpp"
#include "core/base/random.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

constexpr std::align_val_t alignment{64};
constexpr uint64_t header_bytes = 64;  // in front of each block, for its size; keeps the alignment

// What ht_host.self points to.
struct Lent {
    ht_host table;
    PluginHost* host;
    Log* log;
    std::atomic<uint64_t>*budget, *in_use;
    std::string plugin;
};

Lent& of(void* self) {
    return *static_cast<Lent*>(self);
}

void log_line(void* self, ht_log_level level, const char* line) noexcept {
    if (!line) return;
    try {
        const Level known = level <= HT_LOG_DEBUG     ? Level::debug
                            : level == HT_LOG_INFO    ? Level::info
                            : level == HT_LOG_WARNING ? Level::warning
                                                      : Level::error;
        const char* const subject = os::Subject::current();
        const std::string about = *subject ? std::string(subject) + ": " : "";
        of(self).log->write(known, of(self).plugin + ": " + about + shown(line));
    } catch (...) {  // a line that cannot be written is no reason to end a run
    }
}

int32_t is_cancelled(void* self) noexcept {
    return of(self).host->cancelled() ? 1 : 0;
}

double seconds_now(void*) noexcept {
    return os::seconds();
}

// Takes `bytes` from the budget if they are there.
bool reserve(Lent& lent, uint64_t bytes) {
    uint64_t before = lent.in_use->load();
    do {
        const uint64_t budget = lent.budget->load();
        if (before > budget || bytes > budget - before) return false;
    } while (!lent.in_use->compare_exchange_weak(before, before + bytes));
    return true;
}

void* allocate(void* self, uint64_t bytes) noexcept {
    Lent& lent = of(self);
    if (bytes > std::numeric_limits<size_t>::max() - header_bytes || !reserve(lent, bytes)) return nullptr;
    void* block = ::operator new(static_cast<size_t>(bytes + header_bytes), alignment, std::nothrow);
    if (!block) {
        *lent.in_use -= bytes;
        return nullptr;
    }
    *static_cast<uint64_t*>(block) = bytes;
    return static_cast<std::byte*>(block) + header_bytes;
}

void release(void* self, void* memory) noexcept {
    if (!memory) return;
    void* block = static_cast<std::byte*>(memory) - header_bytes;
    *of(self).in_use -= *static_cast<uint64_t*>(block);
    ::operator delete(block, alignment);
}

void random(void*, uint64_t seed, uint64_t stream, uint64_t first, uint64_t n, uint32_t* out) noexcept {
    random_words(seed, stream, first, std::span(out, static_cast<size_t>(n)));
}

const void* extension(void*, const char*) noexcept {
    return nullptr;  // none yet; ids will be told in services.h
}

void broke(void*, const char* text) noexcept {
    note_breakage(text ? text : "");
}

}  // namespace

struct PluginHost::State {
    Log& log;
    ht_cpu cpu;
    std::mutex mutex;
    std::deque<Lent> lent;  // tables keep their place
    std::atomic<uint64_t> budget = std::numeric_limits<uint64_t>::max(), in_use = 0;
};

PluginHost::PluginHost(Log& log, ht_cpu cpu) : state_(new State{log, cpu, {}, {}}) {}
PluginHost::~PluginHost() = default;

bool PluginHost::cancelled() const {
    return cancelled_ || os::interrupted();
}

const ht_host* PluginHost::table_for(const std::string& plugin) {
    const std::lock_guard lock(state_->mutex);
    Lent& lent = state_->lent.emplace_back();
    lent.host = this;
    lent.log = &state_->log;
    lent.budget = &state_->budget;
    lent.in_use = &state_->in_use;
    lent.plugin = plugin;
    lent.table = {sizeof(ht_host), HALFTONE_ABI_MINOR, &lent,       state_->cpu, 0,
                  log_line,        is_cancelled,       seconds_now, allocate,    release,
                  random,          extension,          broke};
    return &lent.table;
}

Log& PluginHost::log() {
    return state_->log;
}

void PluginHost::set_memory_budget(uint64_t bytes) {
    state_->budget = bytes;
}

uint64_t PluginHost::memory_in_use() const {
    return state_->in_use;
}

}  // namespace halftone
