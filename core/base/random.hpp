#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace halftone {

// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"): 128 random bits of a
// counter.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Word i of a (seed, stream) is the same whoever asks for it: word i % 4 of the counter (i / 4, stream) under
// the key seed, each split into 32-bit words, lower first.
void random_words(uint64_t seed, uint64_t stream, uint64_t first, std::span<uint32_t> out);

}  // namespace halftone
