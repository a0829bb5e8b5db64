#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/cli/synth/family.hpp"
#include "core/cli/synth/traits.hpp"

namespace halftone::synth {

// Makes the elements of one tensor, any row at any time: a row depends on the seed and the tensor's name
// alone.
class TensorMaker {
  public:
    virtual ~TensorMaker() = default;
    // `work` is for the maker's own use, kept by the caller from row to row of one thread.
    virtual void row(uint64_t index, std::span<float> out, std::vector<float>& work) const = 0;

    uint64_t rows() const { return rows_; }
    uint64_t cols() const { return cols_; }

  protected:
    TensorMaker(uint64_t rows, uint64_t cols) : rows_(rows), cols_(cols) {}

  private:
    uint64_t rows_, cols_;
};

// A bias or a norm is one row.
std::unique_ptr<TensorMaker> tensor_maker(uint64_t seed, const TensorSpec&);

std::unique_ptr<TensorMaker> matrix_maker(uint64_t seed, const TensorSpec&, const Traits&);

}  // namespace halftone::synth
