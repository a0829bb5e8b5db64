#pragma once

#include <optional>
#include <string>

#include "core/plan/plan.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone {

// Makes one quantized matrix with its companions; of a stack of experts, that of one. The share is that of
// memory_to_make().
void quantize(const Plan&, const PlannedTensor&, uint64_t expert, const Output&, Workers&, Workers::Share&,
              Progress&);

// Does everything but writing, to learn whether the format refuses the matrix once it has the weights.
// Returns its reason; nothing if it takes it.
std::optional<std::string> late_refusal(const Plan&, const PlannedTensor&, uint64_t expert, Workers&,
                                        Workers::Share&, Progress&);

// Within a handler: throws what is under way again; what a plugin is to blame for gets the tensor's name.
[[noreturn]] void blame_plugin(const std::string& name);

// Some of the codes of an expert, `from` so many bytes after its first.
void write_codes(const PlannedTensor&, uint64_t expert, uint64_t from, std::span<const std::byte>,
                 const Output&);

// The companions and constant tensors beside a written weight.
void write_companions(const PlannedTensor&, uint64_t expert, const Grid&, const Output&);

// Of a stack of experts with the number of one: "blocks.0.experts.weight[3]".
std::string name_of_matrix(const Plan&, const PlannedTensor&, uint64_t expert);

// How weights that are no numbers end a run.
[[noreturn]] void refuse_nonfinite(const std::string& name, uint64_t count);

// Into the basis of the grid, if that is another. Returns how many sums are beyond float32, of numbers near
// the end of its range.
uint64_t rotate_forward(const FormatPlan&, const ht_view&, uint64_t rows);
[[noreturn]] void refuse_to_rotate(const std::string& name, uint64_t sums);

// How often quantize() reads the matrix.
uint64_t passes_over(const FormatPlan&);

}  // namespace halftone
