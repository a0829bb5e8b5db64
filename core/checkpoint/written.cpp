#include "core/checkpoint/written.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

namespace halftone {
namespace {

// Each step loses nothing of the state or, for a given state, of the word.
uint64_t mixed(uint64_t state, uint64_t word) {
    const uint64_t product = (state ^ word) * 0x9E3779B97F4A7C15u;
    return product ^ product >> 32;
}

}  // namespace

uint64_t fingerprint(std::span<const std::byte> bytes) {
    constexpr size_t lanes = 4, stride = lanes * sizeof(uint64_t);  // side by side: a product takes a while
    std::array<uint64_t, lanes> state = {1, 2, 3, 4};
    size_t i = 0;
    for (; i + stride <= bytes.size(); i += stride) {
        std::array<uint64_t, lanes> words;
        std::memcpy(words.data(), bytes.data() + i, stride);
        for (size_t lane = 0; lane < lanes; ++lane)
            state[lane] = mixed(state[lane], words[lane]);
    }
    std::array<uint64_t, lanes> rest{};
    if (i < bytes.size()) std::memcpy(rest.data(), bytes.data() + i, bytes.size() - i);
    uint64_t whole = bytes.size();
    for (size_t lane = 0; lane < lanes; ++lane)
        whole = mixed(whole, mixed(state[lane], rest[lane]));
    return whole;
}

void WrittenPieces::add(size_t file, uint64_t offset, std::span<const std::byte> bytes) {
    // What is read back is read in pieces, too, and must not take more memory than other work does.
    constexpr size_t most = 4u << 20;
    while (!bytes.empty()) {
        const std::span<const std::byte> part = bytes.first(std::min(most, bytes.size()));
        const Piece piece{file, offset, part.size(), fingerprint(part)};
        offset += part.size();
        bytes = bytes.subspan(part.size());
        const std::lock_guard lock(mutex_);
        pieces_.push_back(piece);
    }
}

std::vector<WrittenPieces::Piece> WrittenPieces::in_order() const {
    std::vector<Piece> sorted = pieces_;
    std::ranges::sort(sorted, {}, [](const Piece& piece) { return std::tuple(piece.file, piece.offset); });
    return sorted;
}

}  // namespace halftone
