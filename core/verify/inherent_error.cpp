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

uint64_t cols_of(const Comparable& one) {
    const Shape& shape = one.shape();
    return one.stored ? one.stored->plan->source().cols : shape.empty() ? 1 : shape.back();
}

}  // namespace

double inherent_error(const Checkpoint& input, const ComparedPair& pair) {
    const Comparable &before = pair.reference, &after = pair.other;
    const uint64_t experts = after.stored ? after.stored->experts() : 1, cols = cols_of(after);
    const std::unique_ptr<WeightReader> reader =
        before.stored ? open_reader(input, before.stored) : open_reader(input, *before.tensor, cols);
    const uint64_t rows = reader->rows() / experts;
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

JobMemory memory_for_inherent_error(const ComparedPair& pair) {
    const uint64_t cols = cols_of(pair.other), experts = pair.other.stored ? pair.other.stored->experts() : 1;
    const uint64_t elements = element_count(pair.other.shape()).value_or(0) / experts;
    const ReaderFacts reader = pair.reference.stored
                                   ? reader_facts(*pair.reference.stored, pair.reference.stored->experts())
                                   : reader_facts(*pair.reference.tensor);
    uint64_t fitting = 0;
    if (pair.other.stored) {
        const FormatPlan& format = *pair.other.stored->plan;
        const ht_facts& facts = format.facts();
        fitting = facts.grid_bytes + format.source().rows / facts.granule_rows * facts.partial_bytes +
                  rows_of_a_band(format) * cols * sizeof(float);
    }
    return {elements * sizeof(float) + fitting + reader.held +
                reader.scratch_bytes(std::min(rows_read_at_once, cols == 0 ? 0 : elements / cols), cols),
            0};
}

}  // namespace halftone
