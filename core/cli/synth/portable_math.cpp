#include "core/cli/synth/portable_math.hpp"

#include <cmath>
#include <initializer_list>
#include <numbers>

namespace halftone::synth {

namespace {

double polynomial(double x, std::initializer_list<double> highest_first) {
    double sum = 0;
    for (const double coefficient : highest_first)
        sum = sum * x + coefficient;
    return sum;
}

}  // namespace

double exp2(double x) {
    const double whole = std::floor(x + 0.5);
    const double y = (x - whole) * std::numbers::ln2;
    double term = 1, sum = 1;
    for (int n = 1; n <= 18; ++n) {
        term *= y / n;
        sum += term;
    }
    return std::ldexp(sum, static_cast<int>(whole));
}

double log2(double x) {
    int exponent = 0;
    double mantissa = std::frexp(x, &exponent);
    if (mantissa < std::numbers::sqrt2 / 2) {
        mantissa *= 2;
        --exponent;
    }
    // atanh's series: |t| < 0.172.
    const double t = (mantissa - 1) / (mantissa + 1);
    double sum = 0;
    for (int n = 23; n >= 1; n -= 2)
        sum = sum * (t * t) + 1.0 / n;
    return exponent + 2 * t * sum * std::numbers::log2e;
}

double power(double base, double exponent) {
    return exp2(exponent * log2(base));
}

double cos_pi(double x) {
    x = std::abs(x);
    x -= 2 * std::floor(x / 2);  // [0, 2)
    if (x > 1) x = 2 - x;
    const double sign = x > 0.5 ? -1 : 1;
    if (x > 0.5) x = 1 - x;
    const double y = x * std::numbers::pi;
    double term = 1, sum = 1;
    for (int n = 2; n <= 24; n += 2) {
        term *= -y * y / (n * (n - 1));
        sum += term;
    }
    return sign * sum;
}

// Acklam's rational approximation.
double normal_quantile(double p) {
    constexpr double tail = 0.02425;
    if (p > 0.5) return -normal_quantile(1 - p);
    if (p < tail) {
        const double q = std::sqrt(-2 * std::numbers::ln2 * log2(p));
        return polynomial(q, {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                              -2.549732539343734e+00, 4.374664141464968e+00, 2.938163982698783e+00}) /
               polynomial(q, {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                              3.754408661907416e+00, 1.0});
    }
    const double q = p - 0.5, r = q * q;
    return q *
           polynomial(r, {-3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02,
                          1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239e+00}) /
           polynomial(r, {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                          6.680131188771972e+01, -1.328068155288572e+01, 1.0});
}

}  // namespace halftone::synth
