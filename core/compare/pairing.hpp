#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/plan/stored_matrix.hpp"

namespace halftone {

// A tensor of a checkpoint as something to be compared: plain numbers, or a quantized layer.
struct Comparable {
    const Tensor* tensor = nullptr;
    std::shared_ptr<const StoredMatrix> stored;  // null: plain

    const Shape& shape() const { return stored ? stored->plan->source().shape : tensor->shape; }
    std::string shown() const;  // "BF16", "acme.int4 block=32"
    bool is_number() const;     // of a type that can be widened
};

struct ComparedPair {
    std::string name;  // in the reference
    Comparable reference, other;
};

// Which tensor of one checkpoint belongs to which of another.
struct Pairing {
    std::vector<ComparedPair> pairs;  // in the order of names
    // Alike in type and shape, of a type that is no number to be compared.
    std::vector<ComparedPair> not_numbers;
    std::vector<std::string> only_in_reference, only_in_other;
    std::vector<std::string> incomparable;  // "NAME: why"
};

// Which unclaimed tensors of quantized layers may be left out of account.
using IsIgnored = std::function<bool(const Tensor&)>;

// Scales, markers and the like belong to their layers and are no tensors of their own here. Names that only
// a prefix tells apart, the same one for most of them, are the same. Exit::input if a quantized layer is of
// no known format, or has an unclaimed tensor that is not ignored.
Pairing pair_up(std::shared_ptr<const Checkpoint> reference, std::shared_ptr<const Checkpoint> other,
                Registry&, const IsIgnored&);

}  // namespace halftone
