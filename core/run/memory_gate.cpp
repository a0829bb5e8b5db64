#include "core/run/memory_gate.hpp"

#include <limits>
#include <utility>

namespace halftone {
namespace {

uint64_t plus(uint64_t a, uint64_t b) {
    return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max() : a + b;
}

}  // namespace

uint64_t JobMemory::least() const {
    return plus(held, band);
}

uint64_t MemoryGate::used() const {
    const std::lock_guard lock(mutex_);
    return used_;
}

bool MemoryGate::make_room(uint64_t bytes) {
    const auto fits = [&] { return used_ <= budget_ && bytes <= budget_ - used_; };
    uint64_t busy = used_;
    for (const Idle& idle : idle_)
        busy -= idle.scratch ? idle.bytes : 0;
    // Where nothing would help, buffers that will be needed again are kept.
    if (shares_ > 0 && (busy > budget_ || bytes > budget_ - busy)) return false;
    for (Idle& idle : idle_) {
        if (fits()) return true;
        if (!idle.scratch) continue;
        used_ -= idle.bytes;
        idle = {};
    }
    return fits();
}

std::unique_ptr<MemoryGate::Share> MemoryGate::try_enter(const JobMemory& memory) {
    const std::lock_guard lock(mutex_);
    if (!make_room(memory.least()) && shares_ > 0) return nullptr;
    std::unique_ptr<Share> share(new Share(*this, memory));
    used_ += memory.least();
    ++shares_;
    return share;
}

void MemoryGate::leave(Share& share) {
    const std::lock_guard lock(mutex_);
    used_ -= share.memory_.least();
    --shares_;
    changed_.notify_all();
}

void MemoryGate::Share::change(const JobMemory& memory) {
    std::unique_lock lock(gate_.mutex_);
    gate_.used_ -= memory_.least();
    memory_ = {};
    --gate_.shares_;
    gate_.changed_.notify_all();
    ++gate_.waiting_;
    gate_.changed_.wait(lock, [&] { return gate_.make_room(memory.least()) || gate_.shares_ == 0; });
    --gate_.waiting_;
    memory_ = memory;
    gate_.used_ += memory_.least();
    ++gate_.shares_;
}

MemoryGate::Band::Band(MemoryGate& gate, Share& share, size_t slot)
    : gate_(gate), share_(share), slot_(slot) {
    const uint64_t bytes = share.memory_.band;
    std::unique_lock lock(gate.mutex_);
    if (slot < gate.idle_.size() && gate.idle_[slot].scratch) {
        Idle idle = std::exchange(gate.idle_[slot], {});
        scratch_ = std::move(idle.scratch);
        if (idle.band == bytes)
            gate.used_ -= idle.bytes;  // it is part of what this band needs
        else
            brought_ = idle.bytes;  // its buffers may be too small or too large for this one
    }
    if (!scratch_) scratch_ = std::make_unique<Scratch>();  // before the room is taken: this may fail
    ++gate.waiting_;
    gate.changed_.wait(lock, [&] {
        if (!share_.own_band_ || gate.make_room(bytes)) return true;
        if (brought_ == 0) return false;
        *scratch_ = {};
        gate.used_ -= std::exchange(brought_, 0);
        return gate.make_room(bytes);
    });
    --gate.waiting_;
    own_ = !share_.own_band_;
    if (own_)
        share_.own_band_ = true;
    else
        gate.used_ += bytes;
}

MemoryGate::Band::~Band() {
    const uint64_t kept = scratch_->bytes();
    const std::lock_guard lock(gate_.mutex_);
    if (own_)
        share_.own_band_ = false;
    else
        gate_.used_ -= share_.memory_.band;
    gate_.used_ -= brought_;
    const bool fits = gate_.used_ <= gate_.budget_ && kept <= gate_.budget_ - gate_.used_;
    if (fits && slot_ < gate_.idle_.size() && !gate_.idle_[slot_].scratch) {
        gate_.idle_[slot_] = {std::move(scratch_), kept, share_.memory_.band};
        gate_.used_ += kept;
    } else {
        scratch_.reset();  // before others count on the room
    }
    if (gate_.waiting_ > 0) gate_.changed_.notify_all();
}

}  // namespace halftone
