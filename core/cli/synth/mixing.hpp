#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace halftone::synth {

// An orthogonal matrix (DCT-II) of any size, row after row. Only its first row and column are special.
std::vector<double> cosine_rotation(uint32_t size);

// In place, without the factor that would make it orthogonal; the size is a power of two.
void walsh_hadamard(std::span<float>);

// A size that Mixing can do: 2^exponent * odd with a small odd part.
struct MixSize {
    uint32_t exponent = 0, odd = 1;
    uint32_t size() const { return odd << exponent; }
};
MixSize mix_size_at_least(uint32_t);

// A fixed orthogonal matrix of such a size times the root of the size: a Walsh-Hadamard matrix where the size
// is a power of two, otherwise its Kronecker product with a small cosine matrix. All elements are of size one
// or little more, and any of them is known without the others.
class Mixing {
  public:
    explicit Mixing(MixSize);

    uint32_t size() const { return size_.size(); }
    MixSize parts() const { return size_; }
    // element(row, column) = sign(row_bits & column_bits) * odd_element(row_odd, column_odd)
    uint32_t bits(uint32_t index) const { return index & ((1U << size_.exponent) - 1); }
    uint32_t odd(uint32_t index) const { return index >> size_.exponent; }
    float odd_element(uint32_t row_odd, uint32_t column_odd) const {
        return odd_part_[row_odd * size_.odd + column_odd];
    }
    float element(uint32_t row, uint32_t column) const;

    void apply(std::span<float>) const;  // the matrix times the vector, in place; O(size * log(size))

  private:
    MixSize size_;
    std::vector<float> odd_part_;
};

}  // namespace halftone::synth
