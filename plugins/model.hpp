#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <halftone/model.h>

#include "plugins/library.hpp"

namespace halftone {

// A tensor as a profile sees it.
struct TensorFacts {
    std::string name;
    ht_dtype dtype = 0;
    std::vector<uint64_t> shape;
};

// A header for profiles: tensors in ascending order of names, without their common prefix.
struct HeaderFacts {
    std::vector<TensorFacts> tensors;
    std::vector<std::pair<std::string, std::string>> metadata;
};

struct Verdict {
    ht_action action = HT_ACTION_QUANTIZE;
    uint32_t flags = 0;
    std::string reason;
};

struct Score {
    int points = 0;
    std::string evidence;
};

// A model profile plugin.
class Model {
  public:
    explicit Model(std::shared_ptr<PluginLibrary>);

    const PluginLibrary& library() const { return *library_; }
    std::string id() const { return library_->file().id; }
    Score score(const HeaderFacts&) const;
    Verdict decide(const OptionValues&, const TensorFacts&) const;

  private:
    std::shared_ptr<PluginLibrary> library_;
    ht_model table_{};
};

}  // namespace halftone
