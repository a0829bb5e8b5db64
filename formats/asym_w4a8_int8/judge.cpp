#include "judge.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "codebook.hpp"
#include "group.hpp"

namespace halftone::asym_w4a8_int8 {

namespace {

constexpr double heavy_tails = -0.1;  // excess kurtosis above which the fixed codebook is not used

// As comfy-kitchen does it in float32, which differs by 1e-5 at most.
double excess_kurtosis(double n, const double (&sums)[4]) {
    const double mean = sums[0] / n, square = sums[1] / n, cube = sums[2] / n, fourth = sums[3] / n;
    const double variance = std::max(square - mean * mean, 0.0) * n / (n - 1);
    const double deviation = std::sqrt(variance) + 1e-9;
    const double moment = fourth - 4 * mean * cube + 6 * mean * mean * square - 3 * mean * mean * mean * mean;
    return moment / (deviation * deviation * deviation * deviation) - 3;
}

}  // namespace

void Judge::begin(const GridLayout& layout, std::byte* grid) const {
    if (layout.sample.rows == 0) return;
    std::call_once(sampled_, [&] { sample_ = Sample::of(layout.rows, layout.cols); });
    sample_->write(layout, grid);
}

void Judge::look_at(const Band& in, float (*largest)(const float* x, size_t n), const GridLayout& layout,
                    const std::byte* grid, void* partials) {
    const SampleView sampled = layout.sampled(grid);
    const SampleSize& size = layout.sample;
    const uint64_t cols = layout.cols, group = layout.group, bytes = Seen::bytes(size.most_fitted);
    std::vector<float> row(cols);
    for (uint64_t s = sampled.first_from(in.region.row); s < size.rows; ++s) {
        const uint64_t i = sampled.row_at(s) - in.region.row;
        if (i >= in.region.rows) break;
        auto& seen =
            *reinterpret_cast<Seen*>(static_cast<std::byte*>(partials) + i / size.granule_rows * bytes);
        for (uint64_t j = 0; j < cols; ++j)
            row[j] = in.at(i, j);
        for (uint64_t j = 0; j < cols; j += group) {
            const float scale = first_scale(largest(&row[j], group));
            for (uint64_t k = j; k < j + group; ++k)
                row[k] /= scale;
        }
        const SampleView::Drawn judged = sampled.judged_of(s), fitted = sampled.fitted_of(s);
        for (uint64_t k = 0; k < judged.count; ++k)
            seen.judge(row[judged.column(k)]);
        for (uint64_t k = 0; k < fitted.count && seen.fitted < size.most_fitted; ++k)
            seen.numbers()[seen.fitted++] = row[fitted.column(k)];
    }
}

bool Judge::fit(const SampleSize& size, const void* partials, uint64_t granules, float (&codebook)[16]) {
    const uint64_t bytes = Seen::bytes(size.most_fitted);
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
