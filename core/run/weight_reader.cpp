#include "core/run/weight_reader.hpp"

#include <algorithm>
#include <bit>

#include <halftone/ext/draft/column_scale.h>

#include "core/plan/stored_types.hpp"
#include "core/run/stored_weight.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

uint64_t plain_scratch_bytes(uint64_t element, uint64_t rows, uint64_t cols) {
    return rows * cols * (element + sizeof(float));
}

// Of a band with the granules that cover it.
uint64_t stored_scratch_bytes(const FormatPlan& plan, uint64_t rows, uint64_t cols) {
    const uint64_t all = plan.source().rows;
    const uint64_t covering = std::min(all, rows + 2 * (StoredWeight::granule_rows(plan) - 1));
    const uint64_t codes = cols < plan.source().cols ? plan.band_bytes({0, 0, 1, cols})
                                                     : StoredWeight::most_bytes(plan, covering);
    return codes + covering * cols * sizeof(float);
}

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
    uint64_t piece_cols() const override { return 1; }
    uint64_t scratch_bytes(uint64_t rows, uint64_t cols) const override {
        return plain_scratch_bytes(element_, rows, cols);
    }

    WidenedBand read(const ht_region& region, Scratch& scratch) const override {
        const uint64_t elements = region.rows * region.cols;
        const auto source = Scratch::sized(scratch.source, elements * element_);
        checkpoint_.read(tensor_, (region.row * cols_ + region.col) * element_, source);
        Scratch::sized(scratch.values, elements * sizeof(float));
        const auto values = scratch.values.as<float>().first(elements);
        const uint64_t nonfinite = widen(tensor_.dtype, source, values);
        return {{values.data(), static_cast<int64_t>(region.cols), 1}, nonfinite};
    }

  private:
    const Checkpoint& checkpoint_;
    const Tensor& tensor_;
    uint64_t element_, rows_, cols_;
};

// Decodes the granules that cover the band and shows the rows asked for.
class StoredReader : public WeightReader {
  public:
    StoredReader(const Checkpoint& checkpoint, std::shared_ptr<const StoredMatrix> matrix, uint64_t expert)
        : weight_(checkpoint, std::move(matrix), expert) {}

    uint64_t rows() const override { return weight_.rows(); }
    uint64_t cols() const override { return weight_.cols(); }
    uint64_t total_bytes() const override { return weight_.plan().weight_bytes(); }
    uint64_t granule_rows() const override { return weight_.granule_rows(); }

    uint64_t piece_cols() const override { return weight_.plan().facts().piece_cols; }

    uint64_t scratch_bytes(uint64_t rows, uint64_t cols) const override {
        return stored_scratch_bytes(weight_.plan(), rows, cols);
    }

    WidenedBand read(const ht_region& region, Scratch& scratch) const override {
        const ht_region covering = weight_.covering(region);
        const ht_view view = weight_.decode(covering, scratch);
        weight_.to_weights(covering, view);
        float* const first = view.at + (region.row - covering.row) * region.cols;
        return {{first, view.row_stride, 1}, count_nonfinite({first, region.rows * region.cols})};
    }

  private:
    StoredWeight weight_;
};

// Rows of another reader as a matrix.
class PartReader : public WeightReader {
  public:
    PartReader(std::unique_ptr<WeightReader> whole, uint64_t first, uint64_t rows)
        : whole_(std::move(whole)), first_(first), rows_(rows) {}

    uint64_t rows() const override { return rows_; }
    uint64_t cols() const override { return whole_->cols(); }
    uint64_t total_bytes() const override { return whole_->bytes_of({first_, 0, rows_, cols()}); }
    uint64_t piece_cols() const override { return whole_->piece_cols(); }
    uint64_t scratch_bytes(uint64_t rows, uint64_t cols) const override {
        return whole_->scratch_bytes(rows, cols);
    }

    WidenedBand read(const ht_region& region, Scratch& scratch) const override {
        return whole_->read({first_ + region.row, region.col, region.rows, region.cols}, scratch);
    }

  private:
    std::unique_ptr<WeightReader> whole_;
    uint64_t first_, rows_;
};

// A stack of matrices as one, and one buffer more than each of them needs: a band may have rows of several.
class StackReader : public WeightReader {
  public:
    explicit StackReader(std::vector<std::unique_ptr<WeightReader>> experts) : experts_(std::move(experts)) {}

    uint64_t rows() const override { return experts_.size() * experts_.front()->rows(); }
    uint64_t cols() const override { return experts_.front()->cols(); }
    uint64_t total_bytes() const override { return experts_.size() * experts_.front()->total_bytes(); }

    uint64_t scratch_bytes(uint64_t rows, uint64_t cols) const override {
        return experts_.front()->scratch_bytes(std::min(rows, experts_.front()->rows()), cols) +
               rows * cols * sizeof(float);
    }

    WidenedBand read(const ht_region& region, Scratch& scratch) const override {
        const uint64_t rows = experts_.front()->rows();
        Scratch::sized(scratch.values, region.rows * cols() * sizeof(float));
        float* const values = scratch.values.as<float>().data();
        Scratch of_one;
        uint64_t nonfinite = 0;
        for (uint64_t done = 0, n = 0; done < region.rows; done += n) {
            const uint64_t row = (region.row + done) % rows;
            n = std::min(region.rows - done, rows - row);
            const WidenedBand part = experts_[(region.row + done) / rows]->read({row, 0, n, cols()}, of_one);
            for (uint64_t i = 0; i < n; ++i)
                std::copy_n(part.view.at + static_cast<int64_t>(i) * part.view.row_stride, cols(),
                            values + (done + i) * cols());
            nonfinite += part.nonfinite;
        }
        return {{values, static_cast<int64_t>(cols()), 1}, nonfinite};
    }

  private:
    std::vector<std::unique_ptr<WeightReader>> experts_;
};

}  // namespace

uint64_t count_nonfinite(std::span<const float> values) {
    uint64_t count = 0;
    for (float value : values)
        count += (std::bit_cast<uint32_t>(value) & 0x7F800000u) == 0x7F800000u;
    return count;
}

uint64_t WeightReader::bytes_of(const ht_region& region) const {
    if (rows() == 0 || cols() == 0) return 0;
    const auto until = [&](uint64_t element) {
        // In 128 bits: the product of two sizes.
        return static_cast<uint64_t>(static_cast<unsigned __int128>(total_bytes()) * element /
                                     (rows() * cols()));
    };
    const uint64_t first = region.row * cols() + region.col;
    return until(first + region.rows * region.cols) - until(first);
}

std::unique_ptr<WeightReader> open_reader(const Checkpoint& checkpoint, const Tensor& tensor, uint64_t cols) {
    return std::make_unique<PlainReader>(checkpoint, tensor, cols);
}

std::unique_ptr<WeightReader> open_reader(const Checkpoint& checkpoint,
                                          std::shared_ptr<const StoredMatrix> matrix) {
    std::vector<std::unique_ptr<WeightReader>> experts;
    for (uint64_t i = 0; i < matrix->experts(); ++i)
        experts.push_back(std::make_unique<StoredReader>(checkpoint, matrix, i));
    if (experts.size() == 1) return std::move(experts.front());
    return std::make_unique<StackReader>(std::move(experts));
}

std::unique_ptr<WeightReader> open_reader(const Plan& plan, const PlannedTensor& planned) {
    if (planned.stored) return open_reader(*plan.checkpoint, planned.stored);
    return open_reader(*plan.checkpoint, plan.checkpoint->tensors()[planned.source],
                       planned.plan->source().cols);
}

std::unique_ptr<WeightReader> open_reader(const Plan& plan, const PlannedTensor& planned, uint64_t expert) {
    if (planned.stored) return std::make_unique<StoredReader>(*plan.checkpoint, planned.stored, expert);
    std::unique_ptr<WeightReader> whole = open_reader(plan, planned);
    const MatrixSource& source = planned.plan->source();
    if (source.experts == 1) return whole;
    return std::make_unique<PartReader>(std::move(whole), expert * source.rows, source.rows);
}

uint64_t held_by_reader(const StoredMatrix& matrix, uint64_t experts) {
    // Companions are there while a reader is opened, and once more while they are converted.
    uint64_t companions = 0, converted = 0, column_scale = 0;
    for (size_t i = 0; i < matrix.parts.size(); ++i) {
        const Tensor* const part = matrix.parts[i];
        const StoredTensor& stored = matrix.plan->stored()[i];
        if (!part || part == matrix.weight) continue;
        if (stored.role == HT_ROLE_COLUMN_SCALE) {
            column_scale = matrix.plan->source().cols * sizeof(float);
            continue;
        }
        companions += std::max(stored.bytes, part->bytes / matrix.experts());
        if (is_converted(*part, stored)) converted = std::max(converted, 2 * stored.bytes);
    }
    return experts * (matrix.plan->facts().grid_bytes + column_scale) + companions + converted;
}

ReaderFacts reader_facts(const Tensor& tensor) {
    const uint64_t element = dtype::bits(tensor.dtype) / 8;
    return {0, 1, 1,
            [element](uint64_t rows, uint64_t cols) { return plain_scratch_bytes(element, rows, cols); }};
}

ReaderFacts reader_facts(const StoredMatrix& matrix, uint64_t experts) {
    const FormatPlan& plan = *matrix.plan;
    const bool stack = experts > 1;
    return {held_by_reader(matrix, experts), stack ? 1 : StoredWeight::granule_rows(plan),
            stack ? 0 : plan.facts().piece_cols, [&plan, stack](uint64_t rows, uint64_t cols) {
                return stored_scratch_bytes(plan, stack ? std::min(rows, plan.source().rows) : rows, cols) +
                       (stack ? rows * cols * sizeof(float) : 0);
            }};
}

}  // namespace halftone
