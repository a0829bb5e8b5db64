#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace halftone {

// Lets work in as long as its memory fits into the budget; something larger than the whole budget is let in
// alone.
class MemoryGate {
  public:
    explicit MemoryGate(uint64_t budget) : budget_(budget) {}

    class Pass {
      public:
        Pass(MemoryGate& gate, uint64_t bytes) : gate_(gate), bytes_(bytes) { gate_.enter(bytes_); }
        ~Pass() { gate_.leave(bytes_); }
        Pass(const Pass&) = delete;
        Pass& operator=(const Pass&) = delete;

      private:
        MemoryGate& gate_;
        uint64_t bytes_;
    };

  private:
    void enter(uint64_t bytes) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return used_ == 0 || used_ + bytes <= budget_; });
        used_ += bytes;
    }
    void leave(uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        used_ -= bytes;
        changed_.notify_all();
    }

    const uint64_t budget_;
    uint64_t used_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
};

}  // namespace halftone
