#pragma once

// Functions whose every bit follows from IEEE additions, multiplications, divisions and square roots. The C
// library's differ between versions and processors, and a model made from a seed must not.
namespace halftone::synth {

double exp2(double);  // |x| < 1000
double log2(double);  // of a positive, normal number
double power(double base, double exponent);
double cos_pi(double);           // cos(pi * x), |x| < 2^31
double normal_quantile(double);  // of a probability in (0, 1); good to nine digits

}  // namespace halftone::synth
