#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "core/checkpoint/checkpoint.hpp"
#include "core/plan/plan.hpp"
#include "core/run/bands.hpp"
#include "core/run/scratch.hpp"

namespace halftone {

// Rows of a matrix as float32, in a thread's scratch, until that is used again.
struct WidenedBand {
    ht_view view;
    uint64_t nonfinite;  // how many values are NaN or infinite
};

uint64_t count_nonfinite(std::span<const float>);

// A matrix of a checkpoint as numbers, whatever form it is stored in. All functions may be called by any
// thread.
class WeightReader {
  public:
    virtual ~WeightReader() = default;

    virtual uint64_t rows() const = 0;
    virtual uint64_t cols() const = 0;

    // Any whole rows; or a part of one row, cut at multiples of piece_cols(). Uses scratch.source and
    // scratch.values.
    virtual WidenedBand read(const ht_region&, Scratch&) const = 0;
    virtual uint64_t piece_cols() const { return 0; }  // 0: whole rows only

    // What read() needs of a scratch for a band of so many rows and columns, at most.
    virtual uint64_t scratch_bytes(uint64_t rows, uint64_t cols) const = 0;
    uint64_t scratch_bytes_of(const Bands& bands) const {
        return scratch_bytes(bands.largest_rows(), bands.largest_cols());
    }

    // Reading is cheapest in bands that start on multiples of this.
    virtual uint64_t granule_rows() const { return 1; }

    // A band's share of the stored bytes; bands that make up the matrix add up to total_bytes().
    virtual uint64_t total_bytes() const = 0;
    uint64_t bytes_of(const ht_region& region) const;
};

// A tensor of plain numbers, as a matrix of so many columns; cols divides its elements.
std::unique_ptr<WeightReader> open_reader(const Checkpoint&, const Tensor&, uint64_t cols);

// A quantized layer, in the basis in which it was before it was quantized, experts below each other. Loads
// its companions: Exit::input if they make no sense.
std::unique_ptr<WeightReader> open_reader(const Checkpoint&, std::shared_ptr<const StoredMatrix>);

// The source of a planned matrix, stored as plain numbers or quantized. The matrices of a stack of experts
// lie below each other.
std::unique_ptr<WeightReader> open_reader(const Plan&, const PlannedTensor&);

// One matrix of it.
std::unique_ptr<WeightReader> open_reader(const Plan&, const PlannedTensor&, uint64_t expert);

// What a reader holds once it is open, and while it is opened: companions and grids.
uint64_t held_by_reader(const StoredMatrix&, uint64_t experts);

// What such a reader tells of itself, known before it is opened.
struct ReaderFacts {
    uint64_t held = 0, granule_rows = 1, piece_cols = 0;
    std::function<uint64_t(uint64_t rows, uint64_t cols)> scratch_bytes;
};
ReaderFacts reader_facts(const Tensor&);
ReaderFacts reader_facts(const StoredMatrix&, uint64_t experts);  // of a stack of so many, or of one

}  // namespace halftone
