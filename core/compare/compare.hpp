#pragma once

#include <string>
#include <vector>

#include "core/compare/measures.hpp"
#include "core/compare/pairing.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone {

struct CompareSettings {
    bool projection = true;
    // Above so many elements the directions are not looked for: they need the matrix as float32 at once.
    uint64_t most_projected = uint64_t{1} << 28;
    uint64_t projection_memory = UINT64_MAX;                 // nor where that takes more than this
    std::shared_ptr<const Checkpoint> statistics = nullptr;  // sampled inputs, "LAYER.inputs"
};

struct TensorComparison {
    std::string name, from, to;  // "BF16", "acme.int4 block=32"
    Shape shape;
    bool identical = false;  // plain numbers on both sides, and the same
    Measures measures;
};

struct Comparison {
    // The worst first, at run time where that is known; those that are identical are left out.
    std::vector<TensorComparison> tensors;
    uint64_t identical = 0;
    // Means over the elements of all tensors above; the largest error is the largest of all.
    Measures total;
    std::vector<std::string> only_in_reference, only_in_other, incomparable;
};

void set_totals(Progress&, const Pairing&, const CompareSettings&);

// The same figures for any number of threads.
Comparison compare(const Checkpoint& reference, const Checkpoint& other, const Pairing&,
                   const CompareSettings&, Workers&, Progress&);

}  // namespace halftone
