#include "sample.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <random>
#include <utility>

namespace halftone::asym_w4a8_int8 {

namespace {

constexpr uint64_t most_numbers = 1u << 22, most_judged = 1u << 19, most_fitted = 300000;
constexpr uint64_t most_granule_rows = 16;

// With the generator that PyTorch has for a seed of 0. Nothing if all are taken.
std::vector<uint32_t> drawn(uint64_t numbers, uint64_t most) {
    std::vector<uint32_t> result;
    if (most == 0) return result;
    std::mt19937 random(0);
    std::vector<uint32_t> times(numbers);  // how often each is drawn
    for (uint64_t i = 0; i < most; ++i)
        ++times[random() % numbers];
    for (uint32_t number = 0; number < numbers; ++number)
        result.insert(result.end(), times[number], number);
    return result;
}

// So many that about one of them is sampled.
uint64_t granule_rows(uint64_t rows, uint64_t sampled) {
    uint64_t granule = 1;
    while (2 * granule <= std::min(rows / sampled, most_granule_rows))
        granule *= 2;
    return granule;
}

// How many of the numbers to be fitted a granule may have drawn: all where all are taken, otherwise far more
// than chance will have it.
uint64_t most_fitted_of(uint64_t drawn, uint64_t rows, uint64_t cols) {
    if (drawn == 0) return cols;
    const double mean = static_cast<double>(drawn) / static_cast<double>(rows);
    return static_cast<uint64_t>(mean + 10 * std::sqrt(mean)) + 32;
}

}  // namespace

SampleSize Sample::size(uint64_t rows, uint64_t cols) {
    const uint64_t sampled = std::min(rows, std::max<uint64_t>(1, most_numbers / cols));
    const uint64_t numbers = sampled * cols;
    const auto if_not_all = [&](uint64_t most) { return numbers <= most ? 0 : most; };
    const uint64_t fitted = if_not_all(most_fitted);
    return {sampled, sampled < rows ? sampled : 0, if_not_all(most_judged),
            fitted,  granule_rows(rows, sampled),  most_fitted_of(fitted, sampled, cols)};
}

Sample::Sample(uint64_t rows, uint64_t cols) {
    const SampleSize size = Sample::size(rows, cols);
    if (size.listed_rows > 0) {  // the arithmetic of torch.linspace
        const uint64_t count = size.rows;
        const auto last = static_cast<float>(rows - 1);
        const float step = count > 1 ? last / static_cast<float>(count - 1) : 0;
        for (uint64_t s = 0; s < count; ++s) {
            const bool front = s < count / 2 || count == 1;
            const float at =
                front ? step * static_cast<float>(s) : last - step * static_cast<float>(count - s - 1);
            rows_.push_back(std::min(static_cast<uint64_t>(at), rows - 1));
        }
    }
    judged_ = drawn(size.rows * cols, size.judged);
    fitted_ = drawn(size.rows * cols, size.fitted);
}

std::shared_ptr<const Sample> Sample::of(uint64_t rows, uint64_t cols) {
    static std::mutex mutex;
    static std::map<std::pair<uint64_t, uint64_t>, std::weak_ptr<const Sample>> known;
    const std::lock_guard lock(mutex);
    std::weak_ptr<const Sample>& one = known[{rows, cols}];
    std::shared_ptr<const Sample> sample = one.lock();
    if (!sample) one = sample = std::make_shared<const Sample>(rows, cols);
    return sample;
}

void Sample::write(const GridLayout& layout, std::byte* grid) const {
    std::copy(rows_.begin(), rows_.end(), layout.sampled_rows(grid));
    std::copy(judged_.begin(), judged_.end(), layout.judged(grid));
    std::copy(fitted_.begin(), fitted_.end(), layout.fitted(grid));
}

}  // namespace halftone::asym_w4a8_int8
