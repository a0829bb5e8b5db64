#include "core/run/input_scale.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/run/weight_reader.hpp"

namespace halftone {

float measured_input_scale(const MeasuredInputs& measured) {
    constexpr uint64_t at_once = 64;
    constexpr float least = 1e-12f;  // below, a loader's division would overflow
    const Tensor& tensor = *measured.inputs;
    const uint64_t rows = tensor.shape[0], cols = tensor.shape[1];
    const std::unique_ptr<WeightReader> reader = open_reader(*measured.file, tensor, cols);
    Scratch scratch;
    float largest = 0;
    for (uint64_t row = 0; row < rows; row += at_once) {
        const WidenedBand band = reader->read({row, 0, std::min(at_once, rows - row), cols}, scratch);
        if (band.nonfinite > 0)
            fail(Exit::input, tensor.name, "{} values are NaN or infinite", band.nonfinite);
        const float* values = band.view.at;
        for (uint64_t i = 0; i < std::min(at_once, rows - row) * cols; ++i)
            largest = std::max(largest, std::fabs(values[i]));
    }
    return largest > 0 ? std::max(largest / measured.activation_max, least) : 1;
}

}  // namespace halftone
