#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <halftone/format.h>

#include "plugins/format.hpp"

namespace halftone {

// What a plan says of itself, found to make sense.
struct CheckedFacts {
    ht_facts facts{};
    std::vector<StoredTensor> stored;
    size_t weight = 0;
};

// Throws Exit::plugin, `culprit` being the place. Everything that the host computes with later is checked
// here once: a run must not find out in the middle of a file.
CheckedFacts check_facts(const ht_facts*, const ht_format&, const MatrixSource&, const std::string& culprit);

}  // namespace halftone
