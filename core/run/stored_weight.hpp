#pragma once

#include <functional>
#include <memory>
#include <span>

#include "core/checkpoint/checkpoint.hpp"
#include "core/plan/stored_matrix.hpp"
#include "core/run/workers.hpp"

namespace halftone {

// The codes of a quantized matrix with the grid that gives them meaning: a layer, or one expert of it. All
// functions may be called by any thread.
class StoredWeight {
  public:
    // Loads the companions: Exit::input if they make no sense. `change` sees each before it is loaded.
    using Change = std::function<void(const StoredTensor&, std::span<std::byte>)>;
    StoredWeight(const Checkpoint&, std::shared_ptr<const StoredMatrix>, uint64_t expert = 0,
                 const Change& change = {});

    const StoredMatrix& matrix() const { return *matrix_; }
    const FormatPlan& plan() const { return *matrix_->plan; }
    const Grid& grid() const { return grid_; }
    uint64_t rows() const { return plan().source().rows; }
    uint64_t cols() const { return plan().source().cols; }
    uint64_t granule_rows() const;  // at most rows()

    // The smallest band of whole granules that the rows of a region lie in.
    ht_region covering(const ht_region&) const;
    uint64_t most_bytes(uint64_t rows) const;  // that the codes of so many rows take, whole granules

    // For bands of whole granules: the codes, in scratch.source, and the values, in scratch.values and in the
    // grid's basis. decode() reads the codes first.
    std::span<const std::byte> read_codes(const ht_region&, Scratch&) const;
    ht_view decode(const ht_region&, Scratch&) const;

  private:
    const Checkpoint& checkpoint_;
    std::shared_ptr<const StoredMatrix> matrix_;
    uint64_t expert_;
    Grid grid_;
};

}  // namespace halftone
