#include "core/rounding/staged_copies.hpp"

#include <algorithm>
#include <cstring>

#include "core/linalg/tiles.hpp"

namespace halftone {
namespace {

void copy_on_all_threads(std::byte* to, const std::byte* from, uint64_t bytes) {
    constexpr uint64_t part = 1u << 19;
    each_tile(pieces(bytes, part), [&](uint64_t i) {
        std::memcpy(to + i * part, from + i * part, std::min(part, bytes - i * part));
    });
}

}  // namespace

StagedCopies::StagedCopies(std::shared_ptr<Device> device)
    : staging_{DeviceBuffer(device, piece, DeviceBuffer::Place::pinned),
               DeviceBuffer(device, piece, DeviceBuffer::Place::pinned)} {}

void StagedCopies::upload(DeviceStream& stream, void* to, const void* from, uint64_t bytes) {
    for (uint64_t first = 0, i = 0; first < bytes; first += piece, ++i) {
        const uint64_t n = std::min(piece, bytes - first);
        std::byte* const staging = staging_[i % 2].data();
        copy_on_all_threads(staging, static_cast<const std::byte*>(from) + first, n);
        stream.wait();  // for the piece before, whose memory is filled next
        stream.copy(static_cast<std::byte*>(to) + first, staging, n);
    }
    stream.wait();
}

void StagedCopies::download(DeviceStream& stream, void* to, const void* from, uint64_t bytes) {
    const auto fetch = [&](uint64_t first) {
        if (first < bytes)
            stream.copy(staging_[first / piece % 2].data(), static_cast<const std::byte*>(from) + first,
                        std::min(piece, bytes - first));
    };
    fetch(0);
    for (uint64_t first = 0; first < bytes; first += piece) {
        stream.wait();
        fetch(first + piece);
        copy_on_all_threads(static_cast<std::byte*>(to) + first, staging_[first / piece % 2].data(),
                            std::min(piece, bytes - first));
    }
    stream.wait();
}

}  // namespace halftone
