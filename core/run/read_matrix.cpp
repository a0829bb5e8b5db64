#include "core/run/read_matrix.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace halftone {
namespace {

// visit(row, values, how many of them are NaN or infinite), rows counted from `first`.
template <class Visit>
void visit_rows(const WeightReader& reader, uint64_t first, uint64_t rows, const Visit& visit) {
    constexpr uint64_t at_once = rows_read_at_once;
    Scratch scratch;
    for (uint64_t row = 0; row < rows; row += at_once) {
        const ht_region region{first + row, 0, std::min(at_once, rows - row), reader.cols()};
        const WidenedBand band = reader.read(region, scratch);
        visit(row, std::span<const float>(band.view.at, region.rows * region.cols), band.nonfinite);
    }
}

}  // namespace

void each_rows_of(const Checkpoint& file, const Tensor& tensor,
                  const std::function<void(uint64_t row, std::span<const float> values)>& visit) {
    const std::unique_ptr<WeightReader> reader = open_reader(file, tensor, tensor.shape[1]);
    visit_rows(*reader, 0, reader->rows(),
               [&](uint64_t row, std::span<const float> values, uint64_t nonfinite) {
                   if (nonfinite > 0)
                       fail(Exit::input, tensor.name, "{} values are NaN or infinite", nonfinite);
                   visit(row, values);
               });
}

Matrix read_matrix(const Checkpoint& file, const Tensor& tensor) {
    Matrix result(tensor.shape[0], tensor.shape[1]);
    each_rows_of(file, tensor, [&](uint64_t row, std::span<const float> values) {
        std::ranges::copy(values, result.view().row(row));
    });
    return result;
}

Matrix read_rows(const WeightReader& reader, uint64_t first, uint64_t rows) {
    Matrix result(rows, reader.cols());
    visit_rows(reader, first, rows, [&](uint64_t row, std::span<const float> values, uint64_t) {
        std::ranges::copy(values, result.view().row(row));
    });
    return result;
}

}  // namespace halftone
