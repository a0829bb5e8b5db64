#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace halftone {

// A number that tells pieces of bytes apart: a change within 8 bytes always changes it. For mistakes, not for
// malice.
uint64_t fingerprint(std::span<const std::byte>);

// What was written where, remembered so that it can be compared with what a file holds afterwards. It grows
// by a few bytes for each piece.
class WrittenPieces {
  public:
    struct Piece {
        size_t file;
        uint64_t offset, bytes, fingerprint;
    };

    void add(size_t file, uint64_t offset, std::span<const std::byte>);  // any thread
    std::vector<Piece> in_order() const;  // of files and offsets; once nobody adds any more

  private:
    std::mutex mutex_;
    std::vector<Piece> pieces_;
};

}  // namespace halftone
