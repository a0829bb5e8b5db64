#include "judge.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "codebook.hpp"

namespace halftone::asym_w4a8_int8 {

namespace {

constexpr float least_scale = 1e-8f;
constexpr double heavy_tails = -0.1;  // excess kurtosis above which the fixed codebook is not used
constexpr uint64_t most_granule_rows = 16;

// Sums over the numbers that decide whether the codebook is fitted, and numbers to fit it to; of one granule.
struct Seen {
    double count, sums[4];  // of powers
    uint64_t fitted;        // how many numbers follow

    const float* numbers() const { return reinterpret_cast<const float*>(this + 1); }
    float* numbers() { return reinterpret_cast<float*>(this + 1); }
};

// As comfy-kitchen does it in float32, which differs by 1e-5 at most.
double excess_kurtosis(double n, const double (&sums)[4]) {
    const double mean = sums[0] / n, square = sums[1] / n, cube = sums[2] / n, fourth = sums[3] / n;
    const double variance = std::max(square - mean * mean, 0.0) * n / (n - 1);
    const double deviation = std::sqrt(variance) + 1e-9;
    const double moment = fourth - 4 * mean * cube + 6 * mean * mean * square - 3 * mean * mean * mean * mean;
    return moment / (deviation * deviation * deviation * deviation) - 3;
}

}  // namespace

const Sample& Judge::sample() const {
    std::call_once(sampled_, [&] { sample_ = Sample::of(rows_, cols_); });
    return *sample_;
}

uint64_t Judge::granule_rows() const {
    const uint64_t apart = rows_ / Sample::row_count(rows_, cols_);
    uint64_t rows = 1;
    while (2 * rows <= std::min(apart, most_granule_rows))
        rows *= 2;
    return rows;
}

// How many of the numbers to be fitted a granule may have drawn: all where all are taken, otherwise far more
// than chance will have it.
uint64_t Judge::most_fitted() const {
    const uint64_t rows = Sample::row_count(rows_, cols_), all = Sample::fit_count(rows_, cols_);
    if (all == rows * cols_) return cols_;
    const double mean = static_cast<double>(all) / static_cast<double>(rows);
    return static_cast<uint64_t>(mean + 10 * std::sqrt(mean)) + 32;
}

uint64_t Judge::partial_bytes() const {
    return sizeof(Seen) + (most_fitted() + 1) / 2 * 2 * sizeof(float);
}

void Judge::look_at(const Band& in, float (*largest)(const float* x, size_t n), void* partials) const {
    const uint64_t most = most_fitted(), bytes = partial_bytes(), granule = granule_rows();
    std::vector<float> row(cols_);
    sample().each_row(in.region.row, in.region.rows, [&](uint64_t at, uint64_t s) {
        const uint64_t i = at - in.region.row;
        auto& seen = *reinterpret_cast<Seen*>(static_cast<std::byte*>(partials) + i / granule * bytes);
        for (uint64_t j = 0; j < cols_; ++j)
            row[j] = in.at(i, j);
        for (uint64_t j = 0; j < cols_; j += group_) {
            const float amax = std::max(largest(&row[j], group_), least_scale);
            for (uint64_t k = j; k < j + group_; ++k)
                row[k] /= amax;
        }
        sample().each_judged(s, [&](uint64_t j) {
            const auto x = static_cast<double>(row[j]);
            const double square = x * x;
            seen.count += 1;
            seen.sums[0] += x;
            seen.sums[1] += square;
            seen.sums[2] += square * x;
            seen.sums[3] += square * square;
        });
        sample().each_fitted(s, [&](uint64_t j) {
            if (seen.fitted < most) seen.numbers()[seen.fitted++] = row[j];
        });
    });
}

bool Judge::fit(const void* partials, uint64_t granules, float (&codebook)[16]) const {
    const uint64_t bytes = partial_bytes();
    const auto seen = [&](uint64_t i) -> const Seen& {
        return *reinterpret_cast<const Seen*>(static_cast<const std::byte*>(partials) + i * bytes);
    };
    double count = 0, sums[4] = {};
    for (uint64_t i = 0; i < granules; ++i) {
        count += seen(i).count;
        for (int power = 0; power < 4; ++power)
            sums[power] += seen(i).sums[power];
    }
    if (!(excess_kurtosis(count, sums) > heavy_tails)) return false;
    std::vector<float> numbers;
    for (uint64_t i = 0; i < granules; ++i)
        numbers.insert(numbers.end(), seen(i).numbers(), seen(i).numbers() + seen(i).fitted);
    fit_codebook(std::move(numbers), codebook);
    return true;
}

}  // namespace halftone::asym_w4a8_int8
