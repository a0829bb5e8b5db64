#include "core/run/weight_reader.hpp"

#include <algorithm>
#include <bit>

#include "core/run/stored_weight.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

class PlainReader : public WeightReader {
  public:
    PlainReader(const Checkpoint& checkpoint, const Tensor& tensor, uint64_t cols)
        : checkpoint_(checkpoint),
          tensor_(tensor),
          element_(dtype::bits(tensor.dtype) / 8),
          rows_(cols == 0 ? 0 : tensor.bytes / element_ / cols),
          cols_(cols) {}

    uint64_t rows() const override { return rows_; }
    uint64_t cols() const override { return cols_; }
    uint64_t total_bytes() const override { return tensor_.bytes; }
    uint64_t scratch_bytes(uint64_t rows) const override { return rows * cols_ * (element_ + sizeof(float)); }

    WidenedBand read(const ht_region& region, Scratch& scratch) const override {
        const uint64_t elements = region.rows * cols_;
        const auto source = Scratch::sized(scratch.source, elements * element_);
        checkpoint_.read(tensor_, region.row * cols_ * element_, source);
        Scratch::sized(scratch.values, elements * sizeof(float));
        const auto values = scratch.values.as<float>().first(elements);
        const uint64_t nonfinite = widen(tensor_.dtype, source, values);
        return {{values.data(), static_cast<int64_t>(cols_), 1}, nonfinite};
    }

  private:
    const Checkpoint& checkpoint_;
    const Tensor& tensor_;
    uint64_t element_, rows_, cols_;
};

// Decodes the granules that cover the band and shows the rows asked for.
class StoredReader : public WeightReader {
  public:
    StoredReader(const Checkpoint& checkpoint, std::shared_ptr<const StoredMatrix> matrix)
        : weight_(checkpoint, std::move(matrix)) {}

    uint64_t rows() const override { return weight_.rows(); }
    uint64_t cols() const override { return weight_.cols(); }
    uint64_t total_bytes() const override { return weight_.matrix().weight->bytes; }
    uint64_t granule_rows() const override { return weight_.granule_rows(); }

    uint64_t scratch_bytes(uint64_t rows) const override {
        const uint64_t covering = std::min(weight_.rows(), rows + 2 * (granule_rows() - 1));
        return weight_.most_bytes(covering) + covering * cols() * sizeof(float);
    }

    WidenedBand read(const ht_region& region, Scratch& scratch) const override {
        const ht_region covering = weight_.covering(region);
        const ht_view view = weight_.decode(covering, scratch);
        weight_.plan().rotate(true, view, covering.rows);
        float* const first = view.at + (region.row - covering.row) * cols();
        return {{first, view.row_stride, 1}, count_nonfinite({first, region.rows * cols()})};
    }

  private:
    static uint64_t count_nonfinite(std::span<const float> values) {
        uint64_t count = 0;
        for (float value : values)
            count += (std::bit_cast<uint32_t>(value) & 0x7F800000u) == 0x7F800000u;
        return count;
    }

    StoredWeight weight_;
};

}  // namespace

uint64_t WeightReader::bytes_of(const ht_region& region) const {
    if (rows() == 0) return 0;
    const auto until = [&](uint64_t row) {
        // In 128 bits: the product of two sizes.
        return static_cast<uint64_t>(static_cast<unsigned __int128>(total_bytes()) * row / rows());
    };
    return until(region.row + region.rows) - until(region.row);
}

std::unique_ptr<WeightReader> open_reader(const Checkpoint& checkpoint, const Tensor& tensor, uint64_t cols) {
    return std::make_unique<PlainReader>(checkpoint, tensor, cols);
}

std::unique_ptr<WeightReader> open_reader(const Checkpoint& checkpoint,
                                          std::shared_ptr<const StoredMatrix> matrix) {
    return std::make_unique<StoredReader>(checkpoint, std::move(matrix));
}

std::unique_ptr<WeightReader> open_reader(const Plan& plan, const PlannedTensor& planned) {
    if (planned.stored) return open_reader(*plan.checkpoint, planned.stored);
    return open_reader(*plan.checkpoint, plan.checkpoint->tensors()[planned.source],
                       planned.plan->source().cols);
}

}  // namespace halftone
