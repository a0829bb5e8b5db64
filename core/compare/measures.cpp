#include "core/compare/measures.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace halftone {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

}  // namespace

double decibels(double ratio) {
    return ratio == 0 ? infinite : -10 * std::log10(ratio);
}

void ErrorSums::add(std::span<const float> reference, std::span<const float> other, uint64_t first) {
    // Sums side by side: one alone would wait for each addition.
    constexpr size_t lanes = 8;
    std::array<double, lanes> error{}, before{}, after{}, both{};
    for (size_t i = 0; i < reference.size(); ++i) {
        const float w = reference[i], q = other[i];
        if (!std::isfinite(w) || !std::isfinite(q)) {
            nonfinite += std::bit_cast<uint32_t>(w) != std::bit_cast<uint32_t>(q);
            continue;
        }
        const double difference = static_cast<double>(q) - w;
        const size_t lane = i % lanes;
        error[lane] += difference * difference;
        before[lane] += static_cast<double>(w) * w;
        after[lane] += static_cast<double>(q) * q;
        both[lane] += static_cast<double>(w) * q;
        if (std::fabs(difference) > largest_error) {
            largest_error = std::fabs(difference);
            largest_at = first + i;
        }
        if (std::fabs(w) > largest_reference) largest_reference = std::fabs(w);
    }
    for (size_t lane = 0; lane < lanes; ++lane) {
        squared_error += error[lane];
        squared_reference += before[lane];
        squared_other += after[lane];
        product += both[lane];
    }
    elements += reference.size();
}

void ErrorSums::add(const ErrorSums& more) {
    squared_error += more.squared_error;
    squared_reference += more.squared_reference;
    squared_other += more.squared_other;
    product += more.product;
    largest_reference = std::max(largest_reference, more.largest_reference);
    if (more.largest_error > largest_error) {
        largest_error = more.largest_error;
        largest_at = more.largest_at;
    }
    elements += more.elements;
    nonfinite += more.nonfinite;
}

Measures measures_of(const ErrorSums& sums, uint64_t cols) {
    Measures result;
    result.elements = sums.elements;
    result.nonfinite = sums.nonfinite;
    result.largest_error = sums.largest_error;
    if (cols > 0) {
        result.row = sums.largest_at / cols;
        result.col = sums.largest_at % cols;
    }
    // Nothing is near to what is no number.
    if (sums.nonfinite > 0) {
        result.relative_squared_error = infinite;
        result.sqnr = result.psnr = -infinite;
        result.cosine = 0;
        return result;
    }
    const auto of_whole = [&](double whole) {
        return sums.squared_error == 0 ? 0 : whole == 0 ? infinite : sums.squared_error / whole;
    };
    result.relative_squared_error = of_whole(sums.squared_reference);
    result.sqnr = decibels(result.relative_squared_error);
    result.psnr = decibels(
        of_whole(static_cast<double>(sums.elements) * sums.largest_reference * sums.largest_reference));
    const double norms = std::sqrt(sums.squared_reference) * std::sqrt(sums.squared_other);
    result.cosine = sums.squared_error == 0 ? 1 : norms == 0 ? 0 : sums.product / norms;
    return result;
}

}  // namespace halftone
