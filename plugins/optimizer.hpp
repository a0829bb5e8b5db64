#pragma once

#include <memory>
#include <string>
#include <vector>

#include <halftone/ext/draft/optimizer.h>

#include "plugins/library.hpp"

namespace halftone {

// An optimizer plugin.
class Optimizer {
  public:
    explicit Optimizer(std::shared_ptr<PluginLibrary>);

    const PluginLibrary& library() const { return *library_; }
    std::string id() const { return library_->file().id; }

    // How many matrices of the weights' size it will ask for.
    uint32_t matrices(const OptionValues&) const;

    // Throws Refusal, or Error if it failed.
    void minimize(const ht_problem&, const OptionValues&) const;

    std::vector<const ht_op*> operations() const;
    bool owns(const ht_op*) const;                // one of those it declared
    const void* extension(const char* id) const;  // may be null

  private:
    std::shared_ptr<PluginLibrary> library_;
    ht_optimizer table_{};
};

}  // namespace halftone
