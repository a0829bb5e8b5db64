#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <halftone/services.h>

namespace halftone {

class Log;

// The services that the host lends to plugins. One per process or job; outlives every plugin that got it.
class PluginHost {
  public:
    PluginHost(Log&, ht_cpu);
    ~PluginHost();

    const ht_host* table_for(const std::string& plugin);  // log lines carry the plugin's name
    Log& log();
    void cancel() { cancelled_ = true; }
    bool cancelled() const;  // or the user has asked the process to stop

    // How much scratch memory all plugins together may hold; unlimited until set.
    void set_memory_budget(uint64_t bytes);
    uint64_t memory_in_use() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
    std::atomic<bool> cancelled_ = false;
};

}  // namespace halftone
