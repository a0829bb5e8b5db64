#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/unit/fp8/plugin_under_test.hpp"

namespace halftone::fp8_test {

// tests/interop/golden: what other people's code made of hard inputs (tests/interop/make_golden.py).
struct GoldenCast {
    std::string inputs, element;
    std::vector<uint8_t> codes;  // of all 65,536 inputs
};
std::vector<GoldenCast> golden_casts();

// FNV-1a of the codes of every stride-th float32.
struct GoldenHash {
    std::string element;
    uint32_t stride;
    uint64_t hash;
};
std::vector<GoldenHash> golden_hashes();

struct GoldenMatrix {
    std::string name, element, scale_per, reference;
    Matrix weights;
    Stored stored;
};
std::vector<GoldenMatrix> golden_matrices();

// The inputs that the casts are made of, in the order of their bits.
std::vector<float> every_bf16();
std::vector<float> every_f16();

}  // namespace halftone::fp8_test
