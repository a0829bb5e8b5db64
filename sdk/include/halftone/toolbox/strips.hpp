// Runs along the rows of a view as the contiguous memory that kernels take. Where the view has gaps between
// its columns, numbers go through a buffer, and runs are no longer than that.
#pragma once

#include <algorithm>
#include <cstdint>

#include <halftone/format.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

inline constexpr uint64_t strip = 512;  // a multiple of every block that formats cut rows into

inline uint64_t longest_strip(const Band& band) {
    return band.contiguous_rows() ? UINT64_MAX : strip;
}

// use(x) with the n numbers from (i, j) on, counted from the region's corner.
template <class Use>
void read_strip(const Band& in, uint64_t i, uint64_t j, uint64_t n, Use&& use) {
    if (in.contiguous_rows()) return use(static_cast<const float*>(&in.at(i, j)));
    float buffer[strip];
    for (uint64_t k = 0; k < n; ++k)
        buffer[k] = in.at(i, j + k);
    use(static_cast<const float*>(buffer));
}

// make(y) fills the n numbers from (i, j) on.
template <class Make>
void write_strip(const Band& out, uint64_t i, uint64_t j, uint64_t n, Make&& make) {
    if (out.contiguous_rows()) return make(&out.at(i, j));
    float buffer[strip];
    make(buffer);
    for (uint64_t k = 0; k < n; ++k)
        out.at(i, j + k) = buffer[k];
}

// Whole rows, or pieces of them that fit the buffer: visit(i, j, n).
template <class Visit>
void each_strip(const Band& band, Visit&& visit) {
    for (uint64_t i = 0; i < band.region.rows; ++i)
        for (uint64_t j = 0, n = 0; j < band.region.cols; j += n) {
            n = std::min(band.region.cols - j, longest_strip(band));
            visit(i, j, n);
        }
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
