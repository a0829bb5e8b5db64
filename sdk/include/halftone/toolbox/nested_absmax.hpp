// bitsandbytes' double quantization: the largest magnitudes of blocks, less their mean, as 8-bit codes in
// blocks of 256, each with a largest magnitude of its own. Lies in the grid behind everything else.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <halftone/toolbox/scalar_grid.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

class NestedAbsmax {
  public:
    static constexpr uint64_t block = 256, levels = 256;

    static uint64_t outer_count(uint64_t blocks) { return (blocks + block - 1) / block; }
    static uint64_t bytes(uint64_t blocks) {
        const uint64_t floats = 1 + levels + outer_count(blocks);
        return (floats * sizeof(float) + blocks + 63) / 64 * 64;
    }

    NestedAbsmax(uint64_t blocks, std::byte* at) : blocks_(blocks), floats_(reinterpret_cast<float*>(at)) {}

    float& offset() const { return *floats_; }
    float* map() const { return floats_ + 1; }
    float* outer() const { return map() + levels; }
    uint8_t* codes() const { return reinterpret_cast<uint8_t*>(outer() + outer_count(blocks_)); }

    // The map of all levels: from -1 to 1, most of them near 0, where magnitudes differ by orders. In each of
    // seven decades, the midpoints of 1, 2, 4, ... equal parts.
    void make_map() const {
        std::array<float, levels> all{};
        size_t n = 0;
        constexpr float powers[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
        for (int decade = 0; decade < 7; ++decade) {
            const int parts = 1 << decade;
            const float step = 0.9f / static_cast<float>(parts);
            // As PyTorch's linspace: from both ends to the middle.
            const auto boundary = [&](int i) {
                return i < (parts + 1) / 2 ? std::fma(step, static_cast<float>(i), 0.1f)
                                           : std::fma(-step, static_cast<float>(parts - i), 1.0f);
            };
            for (int i = 0; i < parts; ++i) {
                const float middle = (boundary(i) + boundary(i + 1)) / 2.0f;
                all[n] = powers[decade] * middle;
                all[n + 1] = -all[n];
                n += 2;
            }
        }
        all[n++] = 0;
        all[n++] = 1;
        std::sort(all.begin(), all.end());
        std::copy(all.begin(), all.end(), map());
    }

    // Codes for these magnitudes. Of two levels as near, the lower.
    void fit(const float* absmax) const {
        double sum = 0;
        for (uint64_t i = 0; i < blocks_; ++i)
            sum += static_cast<double>(absmax[i]);
        offset() = static_cast<float>(sum / static_cast<double>(blocks_));
        std::array<float, levels - 1> middle{};
        for (size_t i = 0; i + 1 < levels; ++i)
            middle[i] = (map()[i] + map()[i + 1]) / 2.0f;
        for (uint64_t first = 0; first < blocks_; first += block) {
            const uint64_t end = std::min(first + block, blocks_);
            float most = 0;
            for (uint64_t i = first; i < end; ++i)
                most = std::max(most, std::fabs(absmax[i] - offset()));
            if (most > 0) most = std::max(most, least_stored_scale);
            outer()[first / block] = most;
            const float inverse = most > 0 ? 1.0f / most : 0.0f;
            for (uint64_t i = first; i < end; ++i) {
                const float x = std::clamp((absmax[i] - offset()) * inverse, -1.0f, 1.0f);
                codes()[i] =
                    static_cast<uint8_t>(std::lower_bound(middle.begin(), middle.end(), x) - middle.begin());
            }
        }
    }

    // The magnitudes that are read back.
    float at(uint64_t i) const { return map()[codes()[i]] * outer()[i / block] + offset(); }

  private:
    uint64_t blocks_;
    float* floats_;
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
