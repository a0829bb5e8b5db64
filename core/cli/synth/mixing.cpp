#include "core/cli/synth/mixing.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "core/cli/synth/portable_math.hpp"

namespace halftone::synth {

namespace {

constexpr uint32_t largest_odd = 31;

// Butterflies over four vectors at once: two levels of the transform for one pass over the memory.
void two_levels(float* at, size_t quarter) {
    for (size_t i = 0; i < quarter; ++i) {
        const float a = at[i], b = at[i + quarter], c = at[i + 2 * quarter], d = at[i + 3 * quarter];
        const float ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
        at[i] = ab + cd;
        at[i + quarter] = a_b + c_d;
        at[i + 2 * quarter] = ab - cd;
        at[i + 3 * quarter] = a_b - c_d;
    }
}

void one_level(float* at, size_t half) {
    for (size_t i = 0; i < half; ++i) {
        const float a = at[i], b = at[i + half];
        at[i] = a + b;
        at[i + half] = a - b;
    }
}

// `matrix` times the vectors of each position of `odd` blocks that lie one after the other.
void mix_blocks(std::span<float> values, std::span<const float> matrix, uint32_t odd) {
    constexpr size_t width = 16;
    const size_t stride = values.size() / odd;
    std::array<std::array<float, width>, largest_odd> sums;
    for (size_t at = 0; at < stride; at += width) {
        const size_t n = std::min(width, stride - at);
        for (uint32_t row = 0; row < odd; ++row) {
            sums[row].fill(0);
            for (uint32_t column = 0; column < odd; ++column) {
                const float factor = matrix[row * odd + column];
                const float* from = &values[column * stride + at];
                for (size_t i = 0; i < n; ++i)
                    sums[row][i] += factor * from[i];
            }
        }
        for (uint32_t row = 0; row < odd; ++row)
            std::copy_n(sums[row].begin(), n, &values[row * stride + at]);
    }
}

}  // namespace

std::vector<double> cosine_rotation(uint32_t size) {
    std::vector<double> matrix(size_t{size} * size);
    for (uint32_t row = 0; row < size; ++row) {
        const double scale = std::sqrt((row == 0 ? 1.0 : 2.0) / size);
        for (uint32_t column = 0; column < size; ++column)
            matrix[row * size + column] = scale * cos_pi((column + 0.5) * row / size);
    }
    return matrix;
}

void walsh_hadamard(std::span<float> values) {
    size_t done = 1;  // levels below this distance
    while (done * 4 <= values.size()) {
        for (size_t at = 0; at < values.size(); at += 4 * done)
            two_levels(&values[at], done);
        done *= 4;
    }
    if (done < values.size()) one_level(values.data(), done);
}

MixSize mix_size_at_least(uint32_t wanted) {
    MixSize best;
    uint64_t best_size = UINT64_MAX;
    for (uint32_t odd = 1; odd <= largest_odd; odd += 2) {
        const uint32_t exponent = wanted <= odd ? 0 : std::bit_width((wanted - 1) / odd);
        const uint64_t size = uint64_t{odd} << exponent;
        if (size < best_size) {
            best = {exponent, odd};
            best_size = size;
        }
    }
    return best;
}

Mixing::Mixing(MixSize size) : size_(size) {
    const double scale = std::sqrt(size.odd);
    for (const double element : cosine_rotation(size.odd))
        odd_part_.push_back(static_cast<float>(scale * element));
}

float Mixing::element(uint32_t row, uint32_t column) const {
    const float value = odd_element(odd(row), odd(column));
    return std::popcount(bits(row) & bits(column)) % 2 == 0 ? value : -value;
}

void Mixing::apply(std::span<float> values) const {
    const size_t block = size_t{1} << size_.exponent;
    for (size_t at = 0; at < values.size(); at += block)
        walsh_hadamard(values.subspan(at, block));
    if (size_.odd > 1) mix_blocks(values, odd_part_, size_.odd);
}

}  // namespace halftone::synth
