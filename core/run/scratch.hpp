#pragma once

#include <span>

#include "core/base/aligned.hpp"

namespace halftone {

// Buffers for one band, reused from band to band.
struct Scratch {
    AlignedBytes source, values, encoded;

    static std::span<std::byte> sized(AlignedBytes& buffer, size_t bytes) {
        if (buffer.size() < bytes) {
            buffer = {};  // first, so that both are never there at once
            buffer = AlignedBytes(bytes);
        }
        return buffer.bytes().first(bytes);
    }
    size_t bytes() const { return source.size() + values.size() + encoded.size(); }
};

}  // namespace halftone
