#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"

namespace halftone {

// The tensors of a model by names that may have a prefix more or less than its own.
class ModelWeights {
  public:
    explicit ModelWeights(const Checkpoint&);

    const Tensor* find(const std::string& name) const;  // null: there is none

  private:
    const Checkpoint& model_;
    std::vector<const Tensor*> by_ending_;  // in the order of their names read from behind
};

}  // namespace halftone
