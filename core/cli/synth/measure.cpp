#include "core/cli/synth/measure.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/cli/synth/spectrum.hpp"
#include "core/tensor/convert.hpp"

namespace halftone::synth {

namespace {

BandedMatrix banded(const Checkpoint& checkpoint, const Tensor& tensor) {
    const uint64_t rows = tensor.shape[0], cols = tensor.shape[1];
    return {rows, cols, [&checkpoint, &tensor, rows, cols](const auto& use) {
                constexpr uint64_t band_elements = 1U << 20;
                const uint64_t row_bytes = tensor.bytes / rows;
                const uint64_t most = std::clamp<uint64_t>(band_elements / cols, 1, rows);
                std::vector<std::byte> bytes(most * row_bytes);
                std::vector<float> values(most * cols);
                for (uint64_t row = 0; row < rows; row += most) {
                    const uint64_t n = std::min(most, rows - row);
                    const auto raw = std::span(bytes).first(n * row_bytes);
                    const auto floats = std::span(values).first(n * cols);
                    checkpoint.read(tensor, row * row_bytes, raw);
                    if (const uint64_t bad = widen(tensor.dtype, raw, floats))
                        fail(Exit::input, text::printable(tensor.name), "{} elements are NaN or infinite",
                             bad);
                    use(floats);
                }
            }};
}

// Sums of the first four powers of a column's elements.
using Powers = std::array<double, 4>;

std::vector<Powers> column_powers(const BandedMatrix& matrix) {
    std::vector<Powers> columns(matrix.cols);
    matrix.each_band([&](std::span<const float> band) {
        for (size_t at = 0; at < band.size(); at += matrix.cols)
            for (size_t col = 0; col < matrix.cols; ++col) {
                const double x = band[at + col], square = x * x;
                Powers& sums = columns[col];
                sums[0] += x;
                sums[1] += square;
                sums[2] += square * x;
                sums[3] += square * square;
            }
    });
    return columns;
}

}  // namespace

bool measurable(const Tensor& tensor) {
    return tensor.shape.size() == 2 && dtype::widens(tensor.dtype) &&
           std::ranges::min(tensor.shape) >= least_side;
}

Measured measure(const Checkpoint& checkpoint, const Tensor& tensor) {
    const BandedMatrix matrix = banded(checkpoint, tensor);
    const std::vector<Powers> columns = column_powers(matrix);
    std::vector<double> squares;
    squares.reserve(columns.size());
    for (const Powers& sums : columns)
        squares.push_back(sums[1]);
    std::ranges::nth_element(squares, squares.begin() + static_cast<ptrdiff_t>(squares.size() / 2));
    const double median = squares[squares.size() / 2];
    const double most = median * outlier_threshold * outlier_threshold;

    Measured result;
    Powers body{};
    double n = 0;
    for (const Powers& sums : columns) {
        if (sums[1] > most && median > 0) {
            ++result.outliers;
            continue;
        }
        n += static_cast<double>(matrix.rows);
        for (size_t i = 0; i < body.size(); ++i)
            body[i] += sums[i];
    }
    for (double& sum : body)
        sum /= n;
    result.deviation = std::sqrt(body[1]);
    const double mean = body[0], variance = body[1] - mean * mean;
    const double fourth =
        body[3] - 4 * mean * body[2] + 6 * mean * mean * body[1] - 3 * mean * mean * mean * mean;
    result.kurtosis = variance > 0 ? fourth / (variance * variance) - 3 : 0;

    result.factor_least = std::numeric_limits<double>::infinity();
    for (const Powers& sums : columns) {
        if (sums[1] <= most || median <= 0) continue;
        const double factor = std::sqrt(sums[1] / static_cast<double>(matrix.rows)) / result.deviation;
        result.factor_least = std::min(result.factor_least, factor);
        result.factor_most = std::max(result.factor_most, factor);
    }
    if (result.outliers == 0) result.factor_least = 0;

    const SingularValues values = singular_values(matrix);
    result.decay = fitted_decay(values, std::min(matrix.rows, matrix.cols));
    result.decay_of_all = values.all;
    return result;
}

}  // namespace halftone::synth
