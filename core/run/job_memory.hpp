#pragma once

#include "core/plan/plan.hpp"
#include "core/run/bands.hpp"
#include "core/run/memory_gate.hpp"
#include "core/run/weight_reader.hpp"

namespace halftone {

// How quantize() cuts a matrix, and read_back() and look_for_nonfinite() what they read.
Bands bands_to_quantize(const Plan&, const PlannedTensor&);
Bands bands_to_read(const ReaderFacts&, uint64_t rows, uint64_t cols);

// The source of a planned matrix: of a stack of experts that of one, or the whole.
ReaderFacts reader_of_one(const Plan&, const PlannedTensor&);
ReaderFacts reader_of_all(const Plan&, const PlannedTensor&);

// How many rows of bands, counted in Bands::largest_rows(), quantize() has partial results of at a time.
uint64_t bands_to_fold(const FormatPlan&, const Bands&);

// Pieces of tensors that are copied.
inline constexpr uint64_t copied_at_once = 1u << 20;

// What a planned tensor needs while it is made, on the CPU.
JobMemory memory_to_make(const Plan&, const PlannedTensor&);
JobMemory memory_to_look_at(const Plan&, const PlannedTensor&);  // for look_for_nonfinite()

// What the run may take: [run] memory, and Exit::space if a tensor needs more. Where that says nothing, the
// default, or what the tensor needs that needs most, if that is more.
uint64_t memory_for(const Plan&);

}  // namespace halftone
