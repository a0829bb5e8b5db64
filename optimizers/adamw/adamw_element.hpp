// AdamW as PyTorch takes its steps: scalars in double precision, everything per element in float32.
#pragma once

#include <math.h>

#include <halftone/toolbox/device.hpp>

namespace halftone::adamw {

// The numbers that both operations are given, in this order. The powers are those of the step to be taken.
enum { LOSS_SQUARED, LEARNING_RATE, WEIGHT_DECAY, BETA_1, BETA_2, EPSILON, POWER_1, POWER_2, N_NUMBERS };

HT_DEVICE void advance(double* numbers) {
    numbers[POWER_1] *= numbers[BETA_1];
    numbers[POWER_2] *= numbers[BETA_2];
}

// What a step needs of the numbers.
struct Step {
    float per_loss, keep, first_rest, second, second_rest, root_2, epsilon, size;

    HT_DEVICE explicit Step(const double* n) {
        const double loss = sqrt(n[LOSS_SQUARED]);
        per_loss = loss > 0 ? static_cast<float>(1 / loss) : 0.0f;
        keep = static_cast<float>(1 - n[LEARNING_RATE] * n[WEIGHT_DECAY]);
        first_rest = static_cast<float>(1 - n[BETA_1]);
        second = static_cast<float>(n[BETA_2]);
        second_rest = static_cast<float>(1 - n[BETA_2]);
        root_2 = static_cast<float>(sqrt(1 - n[POWER_2]));
        epsilon = static_cast<float>(n[EPSILON]);
        size = static_cast<float>(n[LEARNING_RATE] / (1 - n[POWER_1]));
    }

    // `gradient` by the value of the weight, of half the squared loss; the steps count codes.
    HT_DEVICE void operator()(float& delta, float& first, float& square, float gradient, float sigma) const {
        const float g = gradient * per_loss * sigma;
        delta *= keep;
        first += first_rest * (g - first);
        square = square * second + second_rest * g * g;
        delta -= size * (first / (sqrtf(square) / root_2 + epsilon));
    }
};

}  // namespace halftone::adamw
