// Which tensors a format of matrices takes, and what it tells of one that it found.
#pragma once

#include <string>
#include <string_view>

#include <halftone/format.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// Whether loaders of a layout know it for stacks of experts, with a leading dimension before every tensor.
enum class Stacks { refused, taken };

inline void demand_matrix(const ht_source& source, std::string_view format, Stacks stacks) {
    const bool stack = source.experts > 1 && source.rank == 3;
    if (!stack && (source.rank != 2 || source.experts != 1))
        throw Refused(std::string(format) + " takes plain matrices, and this has " +
                      std::to_string(source.rank) + " dimensions");
    if (stack && stacks == Stacks::refused)
        throw Refused("no loader takes stacks of experts that are stored so");
    if (source.rows == 0 || source.cols == 0) throw Refused("it has no elements");
}

// The shape of a layer that was recognized.
inline void set_matrix(ht_source& source, uint64_t rows, uint64_t cols) {
    source.rank = 2;
    source.shape[0] = source.rows = rows;
    source.shape[1] = source.cols = cols;
    source.experts = 1;
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
