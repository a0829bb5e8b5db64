#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/cpu.hpp"
#include "core/tensor/dtype.hpp"

namespace halftone {

// Stored little-endian elements to float32: exact for all but F64, which is rounded to nearest even. Returns
// how many of the results are NaN or infinite. `from` holds exactly to.size() elements and needs no
// alignment. The same bits at every level.
uint64_t widen(ht_dtype, std::span<const std::byte> from, std::span<float> to, ht_cpu = cpu::level());

// float32 to F32, F16 or BF16, to nearest even; what is too large becomes infinite as in PyTorch. A NaN stays
// one: in F16 with its sign and upper bits, in BF16 as 0x7FC0 (what PyTorch makes of it there depends on the
// machine).
void narrow(ht_dtype, std::span<const float> from, std::span<std::byte> to, ht_cpu = cpu::level());

}  // namespace halftone
