#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace halftone {

// What is added up over the elements of a tensor and its counterpart. Elements that are NaN or infinite on
// either side (and not the same on both) are counted and otherwise left out.
struct ErrorSums {
    double squared_error = 0, squared_reference = 0, squared_other = 0, product = 0;
    double largest_reference = 0;
    double largest_error = 0;
    uint64_t largest_at = 0;  // flat index of the first element with the largest error
    uint64_t elements = 0, nonfinite = 0;

    // `first` is the flat index of the first element. The same bits for the same split into spans.
    void add(std::span<const float> reference, std::span<const float> other, uint64_t first);
    void add(const ErrorSums&);
};

// How far a tensor is from what it was.
struct Measures {
    double relative_squared_error = 0;  // |Q - W|^2 / |W|^2
    double sqnr = 0, psnr = 0;          // decibels; infinite where nothing is lost
    double cosine = 1;
    double largest_error = 0;
    uint64_t row = 0, col = 0;  // where that is
    uint64_t elements = 0, nonfinite = 0;
    std::optional<double> saturated;  // share of the elements at the ends of the codes' range
    std::optional<double> entropy;    // of the codes, in bits
    std::optional<double> projected;  // |U'(Q - W)V| / |U'WV| for the leading singular directions
    // Of the layer's output for sampled inputs x: |x(Q - W)'|^2 / |xW'|^2, and |q(x)Q' - xW'|^2 / |xW'|^2
    // with inputs rounded as the format's loaders round them.
    std::optional<double> output, run_time;
};

// How much smaller noise is than a signal: -10 log10(noise / signal), infinite without noise.
double decibels(double ratio);

Measures measures_of(const ErrorSums&, uint64_t cols);

}  // namespace halftone
