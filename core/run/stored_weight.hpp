#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/plan/stored_matrix.hpp"
#include "core/run/scratch.hpp"

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
    uint64_t granule_rows() const { return granule_rows(plan()); }
    static uint64_t granule_rows(const FormatPlan&);  // at most rows()

    // The smallest band of whole granules that the rows of a region lie in; its columns stay.
    ht_region covering(const ht_region&) const;
    uint64_t most_bytes(uint64_t rows) const { return most_bytes(plan(), rows); }
    static uint64_t most_bytes(const FormatPlan&, uint64_t rows);  // of the codes of so many, whole granules

    // For bands of whole granules, or parts of a row: the codes, in scratch.source, and the values, in
    // scratch.values and in the grid's basis. decode() reads the codes first.
    std::span<const std::byte> read_codes(const ht_region&, Scratch&) const;
    ht_view decode(const ht_region&, Scratch&) const;

    // What loaders multiply inputs by, one number for each column; empty for none.
    std::span<const float> column_scale() const { return column_scale_; }
    // Decoded values to those of the weight: out of the grid's basis, times the scale of their column.
    void to_weights(const ht_region&, const ht_view&) const;

  private:
    const Checkpoint& checkpoint_;
    std::shared_ptr<const StoredMatrix> matrix_;
    uint64_t expert_;
    Grid grid_;
    std::vector<float> column_scale_;
};

// What loaders multiply the inputs of a layer by, one number for each column; empty for none. Exit::input if
// a number is NaN or infinite.
std::vector<float> column_scale_of(const Checkpoint&, const StoredMatrix&);

}  // namespace halftone
