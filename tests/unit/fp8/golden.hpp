#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/golden_words.hpp"

namespace halftone::format_test {

struct GoldenCast {
    std::string inputs, element;
    Bytes codes;  // of all 65,536 inputs
};
std::vector<GoldenCast> golden_casts();

// FNV-1a of the codes of every stride-th float32.
struct GoldenHash {
    std::string element;
    uint64_t stride, hash;
};
std::vector<GoldenHash> golden_hashes();

// The inputs that the casts are made of, in the order of their bits.
std::vector<float> every_bf16();
std::vector<float> every_f16();

}  // namespace halftone::format_test
