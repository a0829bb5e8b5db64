// Layers that are read and not written: codes of 6 bits, group scales in float32. Levels are not kept for
// every scale, of which there are as many as groups, but made where they are needed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <halftone/format.hpp>

#include "layout.hpp"

namespace halftone::asym_w4a8_int8 {

class Found {
  public:
    Found(const ht_source&, const Choice&);

    std::vector<Stored> stored() const;
    uint64_t row_bytes() const { return cols_ * choice_.bits / 8; }
    uint64_t grid_bytes() const;

    void load(std::span<const uint8_t* const> companions, std::byte* grid) const;
    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const;
    void encode(const std::byte* grid, const Band& in, uint8_t* bytes) const;
    void decode(const std::byte* grid, const uint8_t* bytes, const Band& out) const;
    void snap(const std::byte* grid, const Band& in, const Band& out) const;
    void sigma(const std::byte* grid, const Band& out) const;
    void around(const std::byte* grid, const Band& in, const Band& lo, const Band& hi) const;

  private:
    // What decoding needs of one group.
    struct Group {
        const float* book;  // NULL: whole numbers around 0
        uint32_t codes;     // how many there are
        float scale, step, offset;
        float level(uint32_t code) const;
        float value(uint32_t code) const;
        uint32_t nearest(float x) const;
    };

    uint64_t groups_of_row() const { return cols_ / choice_.group; }
    uint64_t groups() const { return rows_ * groups_of_row(); }
    Group group(const std::byte* grid, uint64_t row, uint64_t col) const;
    uint32_t code_at(const uint8_t* row, uint64_t col) const;
    void put_code(uint32_t code, uint64_t col, uint8_t* row) const;

    uint64_t rows_, cols_;
    Choice choice_;
    ht_dtype correction_;
};

}  // namespace halftone::asym_w4a8_int8
