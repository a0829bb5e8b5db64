#include "core/plan/value_loss.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

constexpr uint64_t elements_at_once = 1 << 18;

constexpr double too_large = std::numeric_limits<double>::infinity();

// 8-bit floating point: so many bits of mantissa, the smallest exponent of a normal number, the largest
// number. To nearest even; infinite where PyTorch saturates or makes NaN of it.
double as_narrow(double value, int mantissa, int least_exponent, double largest) {
    if (value == 0) return 0;
    const int exponent = std::max(std::ilogb(value), least_exponent);
    const double step = std::ldexp(1.0, exponent - mantissa);
    const double result = std::nearbyint(value / step) * step;
    return std::abs(result) > largest ? too_large : result;
}

// Whole numbers, towards 0. A signed byte and the same byte without a sign are one to what unpacks them.
double as_byte(double value) {
    const double whole = std::trunc(value);
    return whole < -128 || whole > 255 ? too_large : whole;
}

double converted(double value, ht_dtype to) {
    if (!std::isfinite(value)) return too_large;
    if (to == HT_DTYPE_F8_E4M3) return as_narrow(value, 3, -6, 448);
    if (to == HT_DTYPE_F8_E5M2) return as_narrow(value, 2, -14, 57344);
    return as_byte(value);
}

}  // namespace

double conversion_loss(const Checkpoint& checkpoint, const Tensor& tensor, ht_dtype to) {
    const uint64_t count = element_count(tensor.shape).value_or(0);
    const uint64_t width = count == 0 ? 0 : tensor.bytes / count;
    std::vector<std::byte> bytes(std::min(count, elements_at_once) * width);
    std::vector<float> values(std::min(count, elements_at_once));
    double error = 0, whole = 0;
    for (uint64_t first = 0; first < count; first += elements_at_once) {
        const uint64_t n = std::min(elements_at_once, count - first);
        const std::span<std::byte> band(bytes.data(), n * width);
        checkpoint.read(tensor, first * width, band);
        widen(tensor.dtype, band, std::span(values.data(), n));
        for (uint64_t i = 0; i < n; ++i) {
            const double before = values[i], difference = converted(before, to) - before;
            error += difference * difference;
            whole += before * before;
        }
    }
    if (!std::isfinite(error)) return too_large;
    return whole > 0 ? error / whole : 0;
}

}  // namespace halftone
