#pragma once

#include <string>

#include "core/checkpoint/checkpoint.hpp"

namespace halftone {

// A tensor of a file of factors or statistics, if it is there: floating-point numbers with so many rows and
// columns, where 0 stands for any. Exit::input if it is something else.
const Tensor* find_matrix(const Checkpoint&, const std::string& name, uint64_t rows, uint64_t cols);

// Sampled activations of a layer with so many inputs, one a row; null if the file has none.
const Tensor* find_inputs(const Checkpoint& statistics, const std::string& layer, uint64_t cols);

}  // namespace halftone
