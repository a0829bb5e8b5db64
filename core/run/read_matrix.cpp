#include "core/run/read_matrix.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/run/weight_reader.hpp"

namespace halftone {

void each_band(const Checkpoint& file, const Tensor& tensor,
               const std::function<void(uint64_t row, std::span<const float> values)>& band) {
    constexpr uint64_t at_once = 64;
    const uint64_t rows = tensor.shape[0], cols = tensor.shape[1];
    const std::unique_ptr<WeightReader> reader = open_reader(file, tensor, cols);
    Scratch scratch;
    for (uint64_t row = 0; row < rows; row += at_once) {
        const ht_region region{row, 0, std::min(at_once, rows - row), cols};
        const WidenedBand widened = reader->read(region, scratch);
        if (widened.nonfinite > 0)
            fail(Exit::input, tensor.name, "{} values are NaN or infinite", widened.nonfinite);
        band(row, {widened.view.at, region.rows * cols});
    }
}

Matrix read_matrix(const Checkpoint& file, const Tensor& tensor) {
    Matrix result(tensor.shape[0], tensor.shape[1]);
    each_band(file, tensor, [&](uint64_t row, std::span<const float> values) {
        std::ranges::copy(values, result.view().row(row));
    });
    return result;
}

}  // namespace halftone
