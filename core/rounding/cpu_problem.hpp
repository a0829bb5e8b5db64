#pragma once

#include <memory>
#include <vector>

#include "core/rounding/problem.hpp"

namespace halftone {

// A problem whose work is done at once, on the threads of the task arena in use. The same bits for any number
// of them. At most as many matrices of the weights' size as the task allows exist beside the weights; all
// else is made tile by tile.
std::unique_ptr<Problem> make_cpu_problem(RoundingTask);

}  // namespace halftone
