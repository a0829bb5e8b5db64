#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/tensor/dtype.hpp"

namespace halftone {

// Stored little-endian elements to float32: exact for all but F64, which is rounded to nearest even. Returns how many
// of the results are NaN or infinite.
uint64_t widen(ht_dtype, std::span<const std::byte> from, std::span<float> to);

// float32 to F32, F16 or BF16, to nearest even; what is too large becomes infinite as in PyTorch.
void narrow(ht_dtype, std::span<const float> from, std::span<std::byte> to);

}  // namespace halftone
