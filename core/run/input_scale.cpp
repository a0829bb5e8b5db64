#include "core/run/input_scale.hpp"

#include <algorithm>
#include <cmath>

#include "core/run/read_matrix.hpp"

namespace halftone {

float measured_input_scale(const MeasuredInputs& measured) {
    constexpr float least = 1e-12f;  // below, a loader's division would overflow
    float largest = 0;
    each_rows_of(*measured.file, *measured.inputs, [&](uint64_t, std::span<const float> values) {
        for (const float value : values)
            largest = std::max(largest, std::fabs(value));
    });
    return largest > 0 ? std::max(largest / measured.activation_max, least) : 1;
}

}  // namespace halftone
