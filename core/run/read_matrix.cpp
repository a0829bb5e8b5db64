#include "core/run/read_matrix.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/run/weight_reader.hpp"

namespace halftone {

Matrix read_matrix(const Checkpoint& file, const Tensor& tensor) {
    Matrix result(tensor.shape[0], tensor.shape[1]);
    const std::unique_ptr<WeightReader> reader = open_reader(file, tensor, result.cols());
    Scratch scratch;
    constexpr uint64_t at_once = 64;
    for (uint64_t row = 0; row < result.rows(); row += at_once) {
        const uint64_t rows = std::min(at_once, result.rows() - row);
        const WidenedBand band = reader->read({row, 0, rows, result.cols()}, scratch);
        if (band.nonfinite > 0)
            fail(Exit::input, tensor.name, "{} values are NaN or infinite", band.nonfinite);
        std::copy_n(band.view.at, rows * result.cols(), result.view().row(row));
    }
    return result;
}

}  // namespace halftone
