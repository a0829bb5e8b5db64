#pragma once

#include <memory>
#include <vector>

#include "core/plan/stored_matrix.hpp"
#include "core/verify/findings.hpp"

namespace halftone {

// Header against tensors: every quantized layer is recognized by a format, has what that format stores and
// nothing that belongs to another, and the header's entry and the layer's marker say the same. Reads no
// weights. Returns the layers that can be read. `model`: what it was made from, or null.
std::vector<std::shared_ptr<const StoredMatrix>> check_layers(const std::shared_ptr<const Checkpoint>&,
                                                              const std::shared_ptr<const Checkpoint>& model,
                                                              Registry&, Findings&);

}  // namespace halftone
