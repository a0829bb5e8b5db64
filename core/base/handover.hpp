#pragma once

#include <atomic>
#include <cstdint>

namespace halftone {

// What one thread wrote before it handed out work is seen by the threads that do it, and what they wrote by
// the one that waited for them. The task scheduler sees to that as well, but not so that ThreadSanitizer
// could tell: its library is not instrumented.
class Handover {
  public:
    Handover() { word_.store(0, std::memory_order_release); }
    ~Handover() { word_.load(std::memory_order_acquire); }
    Handover(const Handover&) = delete;
    Handover& operator=(const Handover&) = delete;

    // Stands in a task for as long as it runs, exceptions included.
    class Task {
      public:
        explicit Task(Handover& from) : word_(from.word_) { word_.load(std::memory_order_acquire); }
        ~Task() { word_.fetch_add(1, std::memory_order_release); }
        Task(const Task&) = delete;
        Task& operator=(const Task&) = delete;

      private:
        std::atomic<uint64_t>& word_;
    };

  private:
    std::atomic<uint64_t> word_;
};

}  // namespace halftone
