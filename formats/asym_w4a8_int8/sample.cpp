#include "sample.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <random>
#include <utility>

namespace halftone::asym_w4a8_int8 {

namespace {

constexpr uint64_t most_numbers = 1u << 22, most_judged = 1u << 19, most_fitted = 300000;

// With the generator that PyTorch has for a seed of 0. Nothing if all are taken.
std::vector<uint32_t> drawn(uint64_t numbers, uint64_t most) {
    std::vector<uint32_t> result;
    if (numbers <= most) return result;
    std::mt19937 random(0);
    std::vector<uint32_t> times(numbers);  // how often each is drawn
    for (uint64_t i = 0; i < most; ++i)
        ++times[random() % numbers];
    for (uint32_t number = 0; number < numbers; ++number)
        result.insert(result.end(), times[number], number);
    return result;
}

}  // namespace

uint64_t Sample::row_count(uint64_t rows, uint64_t cols) {
    return std::min(rows, std::max<uint64_t>(1, most_numbers / cols));
}

uint64_t Sample::fit_count(uint64_t rows, uint64_t cols) {
    return std::min(row_count(rows, cols) * cols, most_fitted);
}

Sample::Sample(uint64_t rows, uint64_t cols) : cols_(cols), count_(row_count(rows, cols)) {
    if (count_ < rows) {  // the arithmetic of torch.linspace
        const auto last = static_cast<float>(rows - 1);
        const float step = count_ > 1 ? last / static_cast<float>(count_ - 1) : 0;
        for (uint64_t s = 0; s < count_; ++s) {
            const bool front = s < count_ / 2 || count_ == 1;
            const float at =
                front ? step * static_cast<float>(s) : last - step * static_cast<float>(count_ - s - 1);
            rows_.push_back(std::min(static_cast<uint64_t>(at), rows - 1));
        }
    }
    judged_ = drawn(count_ * cols, most_judged);
    fitted_ = drawn(count_ * cols, most_fitted);
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

uint64_t Sample::first_from(uint64_t row) const {
    if (rows_.empty()) return row;
    return static_cast<uint64_t>(std::lower_bound(rows_.begin(), rows_.end(), row) - rows_.begin());
}

std::span<const uint32_t> Sample::drawn_of(const std::vector<uint32_t>& drawn, uint64_t s) const {
    const auto first = std::lower_bound(drawn.begin(), drawn.end(), s * cols_);
    return {first, std::lower_bound(first, drawn.end(), (s + 1) * cols_)};
}

}  // namespace halftone::asym_w4a8_int8
