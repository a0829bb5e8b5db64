#pragma once

#include <string>

#include "core/base/error.hpp"

namespace halftone {

// A format refused a matrix once it had seen the weights. The plan was made by then, and with it the place of
// every tensor, so that this is an error; who can plan again may leave the matrix out.
class LateRefusal : public Error {
  public:
    // `where`: the plugin, or the tensor where that is known. `refused`: "fit_seal() refused it".
    LateRefusal(std::string where, std::string refused, std::string reason)
        : Error(Exit::plugin, std::move(where), refused + " once it had the weights: " + reason,
                "keep it with a [[rule]] that has action = \"keep\", or give it another format"),
          refused_(std::move(refused)),
          reason_(std::move(reason)) {}

    // The same, of a tensor.
    LateRefusal of(const std::string& tensor) const {
        return LateRefusal(tensor, where() + ": " + refused_, reason_);
    }
    const std::string& reason() const { return reason_; }

  private:
    std::string refused_, reason_;
};

}  // namespace halftone
