#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/run/stored_weight.hpp"

namespace halftone {

// Which codes a quantized matrix uses. A code is a stored byte where every element has one of its own,
// otherwise the number of the element's level in the format's table, otherwise half a byte where that fits.
struct CodeCounts {
    std::vector<uint64_t> of_code;
    uint64_t elements = 0;
    uint64_t saturated = 0;  // at one of the ends of the range
    bool knows_codes = false, knows_ends = false;

    void add(const CodeCounts&);
    std::optional<double> entropy() const;  // bits
    std::optional<double> saturated_share() const;
};

// Of a band of whole granules: its stored bytes and its values in the grid's basis.
CodeCounts count_codes(const StoredWeight&, const ht_region&, std::span<const std::byte> codes,
                       const ht_view& values);

}  // namespace halftone
