#include "core/verify/inherent_error.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/linalg/matrix.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/views.hpp"
#include "core/run/read_matrix.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

struct Sums {
    double squared = 0, squared_error = 0;

    void add(float value, float rounded) {
        const double error = static_cast<double>(rounded) - static_cast<double>(value);
        squared += static_cast<double>(value) * static_cast<double>(value);
        squared_error += error * error;
    }
};

// Rotated errors are as large as others.
void add_format(const FormatPlan& format, Matrix& values, Sums& sums) {
    format.rotate(false, view_of(values), values.rows());
    const Grid grid = fitted_grid(format, values);
    const uint64_t most = rows_of_a_band(format);
    Matrix rounded(std::min(most, values.rows()), values.cols());
    for (uint64_t row = 0; row < values.rows(); row += most) {
        const ht_region region{row, 0, std::min(most, values.rows() - row), values.cols()};
        const ConstMatrixView band = values.view().block(row, 0, region.rows, region.cols);
        format.snap(grid, region, view_of(band), view_of(rounded));
        for (uint64_t i = 0; i < region.rows; ++i)
            for (uint64_t j = 0; j < region.cols; ++j)
                sums.add(band.row(i)[j], rounded.view().row(i)[j]);
    }
}

// The finite numbers of a type of 8 bits, in order.
std::vector<float> numbers_of(ht_dtype dtype) {
    std::array<std::byte, 256> codes{};
    for (size_t i = 0; i < codes.size(); ++i)
        codes[i] = static_cast<std::byte>(i);
    std::vector<float> numbers(codes.size());
    widen(dtype, codes, numbers);
    std::erase_if(numbers, [](float x) { return !std::isfinite(x); });
    std::ranges::sort(numbers);
    return numbers;
}

void add_type(const std::vector<float>& numbers, const Matrix& values, Sums& sums) {
    for (uint64_t i = 0; i < values.rows(); ++i)
        for (const float value : std::span(values.view().row(i), values.cols())) {
            const auto above = std::ranges::lower_bound(numbers, value);
            const float high = above == numbers.end() ? numbers.back() : *above;
            const float low = above == numbers.begin() ? numbers.front() : *(above - 1);
            sums.add(value, high - value < value - low ? high : low);
        }
}

}  // namespace

double inherent_error(const Checkpoint& input, const ComparedPair& pair, Workers& workers) {
    const Comparable &before = pair.reference, &after = pair.other;
    const Shape& shape = after.shape();
    const uint64_t experts = after.stored ? after.stored->experts() : 1;
    const uint64_t cols = after.stored ? after.stored->plan->source().cols : shape.empty() ? 1 : shape.back();
    const std::unique_ptr<WeightReader> reader =
        before.stored ? open_reader(input, before.stored) : open_reader(input, *before.tensor, cols);
    const uint64_t rows = reader->rows() / experts;
    const uint64_t grid_bytes = after.stored ? after.stored->plan->facts().grid_bytes : 0;
    const auto memory = workers.reserve(rows * cols * sizeof(float) + grid_bytes);
    Sums sums;
    for (uint64_t expert = 0; expert < experts; ++expert) {
        Matrix values = read_rows(*reader, expert * rows, rows);
        if (after.stored)
            add_format(*after.stored->plan, values, sums);
        else
            add_type(numbers_of(after.tensor->dtype), values, sums);
    }
    return sums.squared > 0 ? sums.squared_error / sums.squared : 0;
}

}  // namespace halftone
