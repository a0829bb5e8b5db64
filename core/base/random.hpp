#pragma once

#include <cstdint>
#include <span>

namespace halftone {

// Philox 4x32-10: word i of a (seed, stream) is the same whoever asks for it.
void random_words(uint64_t seed, uint64_t stream, uint64_t first, std::span<uint32_t> out);

}  // namespace halftone
