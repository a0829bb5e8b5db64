#include "core/run/bands.hpp"

#include <algorithm>

#include "core/tensor/convert.hpp"

namespace halftone {

Bands::Bands(uint64_t rows, uint64_t cols, uint64_t granule_rows) : rows_(rows), cols_(cols) {
    granule_rows = std::min(granule_rows, std::max<uint64_t>(rows, 1));  // "never split" may be a huge number
    // 128 Ki elements are 512 KiB as float32: with the source beside them they stay in a second-level cache,
    // and the cost of a read call is spread over enough of them.
    constexpr uint64_t wanted = 128 * 1024;
    const uint64_t granule = granule_rows * std::max<uint64_t>(cols, 1);
    per_band_ = std::max<uint64_t>(1, wanted / granule) * granule_rows;
    per_band_ = std::min(per_band_, (rows + granule_rows - 1) / granule_rows * granule_rows);
    count_ = rows == 0 ? 0 : (rows + per_band_ - 1) / per_band_;
}

ht_region Bands::region(uint64_t index) const {
    const uint64_t first = index * per_band_;
    return {first, 0, std::min(per_band_, rows_ - first), cols_};
}

WidenedBand read_band(const Checkpoint& checkpoint, const Tensor& tensor, const ht_region& region,
                      Scratch& scratch) {
    const uint64_t element = dtype::bits(tensor.dtype) / 8;
    const uint64_t elements = region.rows * region.cols;
    const auto source = Scratch::sized(scratch.source, elements * element);
    checkpoint.read(tensor, region.row * region.cols * element, source);
    Scratch::sized(scratch.values, elements * sizeof(float));
    const auto values = scratch.values.as<float>().first(elements);
    const uint64_t nonfinite = widen(tensor.dtype, source, values);
    return {{values.data(), static_cast<int64_t>(region.cols), 1}, nonfinite};
}

}  // namespace halftone
