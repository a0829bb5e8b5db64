#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/run/scratch.hpp"

namespace halftone {

// What a job needs at a time.
struct JobMemory {
    uint64_t held = 0;  // for as long as it lasts
    uint64_t band = 0;  // for each of its bands under way

    uint64_t least() const;  // to get on with one band at a time
};

// Keeps within one budget what jobs hold, what their bands take, and the scratches that wait for the next
// band. A job gets in with room for one band, so that it gets on whatever the others do; its other bands wait
// for what is left. Nothing is waited for while a band's memory is held, so nobody waits for ever.
class MemoryGate {
  public:
    // `slots`: how many threads may keep a scratch.
    MemoryGate(uint64_t budget, size_t slots) : budget_(budget), idle_(slots) {}

    // A job's share, until it goes. At most one thread at a time calls its functions, apart from bands.
    class Share {
      public:
        ~Share() { gate_.leave(*this); }
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        const JobMemory& memory() const { return memory_; }

        // For a job that turns out to need something else: gives back what it has, and waits. It must hold
        // nothing meanwhile.
        void change(const JobMemory&);

      private:
        friend class MemoryGate;
        Share(MemoryGate& gate, const JobMemory& memory) : gate_(gate), memory_(memory) {}
        MemoryGate& gate_;
        JobMemory memory_;
        bool own_band_ = false;  // the room for one band is taken
    };

    // Null: there is no room now. What is larger than the budget gets in alone.
    std::unique_ptr<Share> try_enter(const JobMemory&);

    // The memory of a band under way.
    class Band {
      public:
        // `slot`: of the thread; its scratch is the one that it had before, if there was room to keep it.
        Band(MemoryGate& gate, Share& share, size_t slot);
        ~Band();
        Band(const Band&) = delete;
        Band& operator=(const Band&) = delete;
        Scratch& scratch() { return *scratch_; }

      private:
        MemoryGate& gate_;
        Share& share_;
        const size_t slot_;
        std::unique_ptr<Scratch> scratch_;
        uint64_t brought_ = 0;  // bytes of a scratch that was made for another kind of band
        bool own_ = false;      // in the share's room for one band
    };

    uint64_t used() const;

  private:
    struct Idle {
        std::unique_ptr<Scratch> scratch;
        uint64_t bytes = 0, band = 0;  // its size, and what the band needed that it was made for
    };
    bool make_room(uint64_t bytes);  // under the lock: whether they fit, without idle scratches if need be
    void leave(Share&);

    const uint64_t budget_;
    uint64_t used_ = 0;  // idle scratches included
    uint64_t shares_ = 0, waiting_ = 0;
    std::vector<Idle> idle_;  // by slot
    mutable std::mutex mutex_;
    std::condition_variable changed_;
};

}  // namespace halftone
