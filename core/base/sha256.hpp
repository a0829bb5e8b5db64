#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace halftone {

// FIPS 180-4. Tells files apart in recipes; nothing secret depends on it.
class Sha256 {
  public:
    Sha256();
    void add(std::span<const std::byte>);
    std::string hex();  // ends the message

  private:
    void block(const uint8_t*);
    std::array<uint32_t, 8> state_;
    std::array<uint8_t, 64> pending_;
    uint64_t length_ = 0;
};

}  // namespace halftone
