#include "core/base/random.hpp"

#include <cstddef>

namespace halftone {

namespace {

uint32_t low(uint64_t x) {
    return static_cast<uint32_t>(x);
}

uint32_t high(uint64_t x) {
    return static_cast<uint32_t>(x >> 32);
}

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t a = uint64_t{0xD2511F53} * counter[0];
        const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
        counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return counter;
}

void random_words(uint64_t seed, uint64_t stream, uint64_t first, std::span<uint32_t> out) {
    size_t done = 0;
    while (done < out.size()) {
        const uint64_t index = first + done, block = index / 4;
        const auto words =
            philox({low(block), high(block), low(stream), high(stream)}, {low(seed), high(seed)});
        for (size_t i = index % 4; i < 4 && done < out.size(); ++i)
            out[done++] = words[i];
    }
}

}  // namespace halftone
