// What loaders do to activations, for round_activations() of a format (ext/draft/activations.h). Each piece
// follows the arithmetic of its loader for float32 activations, rounding by rounding. Loaders work on
// activations of 16 bits, where the roundings before the last one are coarser.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/scalar_grid.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>
#include <halftone/toolbox/strips.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

namespace activations {

inline float largest(const float* x, uint64_t n, float so_far = 0) {
    for (uint64_t k = 0; k < n; ++k)
        so_far = std::max(so_far, std::fabs(x[k]));
    return so_far;
}

// change(x, n) for consecutive blocks of a row, of `block` numbers but for the last one.
template <class Change>
void each_block(const Band& rows, uint64_t block, const Change& change) {
    std::vector<float> gathered;
    for (uint64_t i = 0; i < rows.region.rows; ++i)
        for (uint64_t j = 0; j < rows.region.cols; j += block) {
            const uint64_t n = std::min(block, rows.region.cols - j);
            if (rows.contiguous_rows()) {
                change(&rows.at(i, j), n);
                continue;
            }
            gathered.resize(n);
            for (uint64_t k = 0; k < n; ++k)
                gathered[k] = rows.at(i, j + k);
            change(gathered.data(), n);
            for (uint64_t k = 0; k < n; ++k)
                rows.at(i, j + k) = gathered[k];
        }
}

}  // namespace activations

// 8-bit floating point with one scale for all; without an input_scale that is 1.
template <class Element>
void round_to_float8(const float* input_scale, const Band& rows) {
    const float scale = input_scale ? *input_scale : 1.0f, inverse = 1.0f / scale;
    activations::each_block(rows, rows.region.cols, [&](float* x, uint64_t n) {
        for (uint64_t k = 0; k < n; ++k)
            x[k] = Element::rounded(x[k] * inverse) * scale;
    });
}

// Symmetric integers up to `most` (127, 7) with a scale per row: its largest magnitude over `most`, but not
// less than `least_scale`.
inline void round_rows_to_integers(float most, float least_scale, const Band& rows) {
    activations::each_block(rows, rows.region.cols, [&](float* x, uint64_t n) {
        const float scale = std::max(activations::largest(x, n) / most, least_scale);
        for (uint64_t k = 0; k < n; ++k)
            x[k] = std::clamp(std::nearbyint(x[k] / scale), -most, most) * scale;
    });
}

// Integers of 8 bits with a scale per block of a row, cut off towards zero, as a loader's kernel does it.
inline void truncate_blocks_to_int8(uint64_t block, const Band& rows) {
    activations::each_block(rows, block, [](float* x, uint64_t n) {
        const float scale = activations::largest(x, n) / 127.0f;
        for (uint64_t k = 0; k < n; ++k)
            x[k] = scale > 0 ? std::trunc(x[k] / scale) * scale : 0.0f;
    });
}

// The largest magnitude of the whole batch.
inline float largest(const Band& rows) {
    float most = 0;
    activations::each_block(rows, rows.region.cols,
                            [&](float* x, uint64_t n) { most = activations::largest(x, n, most); });
    return most;
}

// As a format of blocks (block_kernels.hpp) rounds its weights to nearest, with `of_all` as the scale of the
// whole.
template <class Blocks>
void round_to_blocks(float of_all, const Band& rows) {
    activations::each_block(rows, Blocks::length, [&](float* x, uint64_t n) {
        const Scale step = Blocks::step(Blocks::scale(activations::largest(x, n), of_all), of_all);
        for (uint64_t k = 0; k < n; ++k)
            x[k] = rounded<typename Blocks::Element>(scaled<Blocks::scaling>(x[k], step.pre)) * step.post;
    });
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
