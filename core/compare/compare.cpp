#include "core/compare/compare.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "core/base/os/foreign_call.hpp"
#include "core/compare/codes.hpp"
#include "core/compare/layer_output.hpp"
#include "core/linalg/gemm.hpp"
#include "core/linalg/svd.hpp"
#include "core/plan/selection.hpp"
#include "core/plan/statistics.hpp"
#include "core/run/bands.hpp"
#include "core/run/read_matrix.hpp"
#include "core/run/weight_reader.hpp"

namespace halftone {
namespace {

constexpr RankRule projected_directions;
constexpr uint64_t seed = 0;
constexpr uint64_t most_counted_codes = 256 * sizeof(uint64_t);  // in bytes, of a band

uint64_t cols_of(const Comparable& reference, const Comparable& other) {
    for (const Comparable* one : {&reference, &other})
        if (one->stored) return one->stored->plan->source().cols;
    const Shape& shape = reference.shape();
    if (shape.size() < 2) return std::max<uint64_t>(element_count(shape).value_or(1), 1);
    uint64_t cols = 1;
    for (size_t i = 1; i < shape.size(); ++i)
        cols *= shape[i];
    return cols;
}

// The matrix, its singular vectors, and what finding those takes.
uint64_t projection_bytes(uint64_t rows, uint64_t cols) {
    const uint64_t rank = projected_directions.rank(rows, cols) + 10;
    return (rows * cols + 4 * (rows + cols) * rank) * sizeof(float);
}

bool wants_projection(const ComparedPair& pair, const CompareSettings& settings) {
    const Shape& shape = pair.reference.shape();
    return settings.projection && shape.size() == 2 && shape[0] > 1 && shape[1] > 1 &&
           element_count(shape).value_or(UINT64_MAX) <= settings.most_projected &&
           projection_bytes(shape[0], shape[1]) <= settings.projection_memory;
}

// Divides by a power of two, which is returned: products of numbers near the ends of float32's range would
// lie beyond them. `other`: a magnitude that will be divided by it, too.
float make_moderate(const MatrixView& matrix, float other) {
    float largest = other;
    for (uint64_t i = 0; i < matrix.rows; ++i)
        for (uint64_t j = 0; j < matrix.cols; ++j)
            largest = std::max(largest, std::fabs(matrix.row(i)[j]));
    if (largest == 0 || (largest > 1e-9f && largest < 1e9f)) return 1;
    const float unit = std::exp2f(static_cast<float>(std::ilogb(largest)));
    for (uint64_t i = 0; i < matrix.rows; ++i)
        for (uint64_t j = 0; j < matrix.cols; ++j)
            matrix.row(i)[j] /= unit;
    return unit;
}

std::unique_ptr<WeightReader> reader_of(const Checkpoint& checkpoint, const Comparable& one, uint64_t cols) {
    return one.stored ? open_reader(checkpoint, one.stored) : open_reader(checkpoint, *one.tensor, cols);
}

// The layer goes by its name in the reference, or by that in the other checkpoint.
const Tensor* sampled_inputs(const ComparedPair& pair, const CompareSettings& settings, uint64_t cols) {
    if (!settings.statistics || pair.reference.shape().size() != 2) return nullptr;
    for (const std::string& weight : {pair.name, pair.other.tensor->name})
        if (weight.ends_with(".weight"))
            if (const Tensor* const found =
                    find_inputs(*settings.statistics, std::string(layer_name(weight)), cols))
                return found;
    return nullptr;
}

uint64_t experts_of(const Comparable& one) {
    return one.stored ? one.stored->experts() : 1;
}

ReaderFacts facts_of(const Comparable& one) {
    return one.stored ? reader_facts(*one.stored, one.stored->experts()) : reader_facts(*one.tensor);
}

// Bands of one expert of the other; of whole rows where more than single numbers are looked at.
Bands bands_of(const ComparedPair& pair, uint64_t cols, bool whole_rows) {
    const uint64_t elements = element_count(pair.reference.shape()).value_or(0);
    const uint64_t rows = cols == 0 ? 0 : elements / cols / experts_of(pair.other);
    const ReaderFacts reference = facts_of(pair.reference);
    if (!pair.other.stored)
        return {rows, cols, 1, reference.granule_rows, whole_rows ? 0 : reference.piece_cols};
    const FormatPlan& plan = *pair.other.stored->plan;
    return {rows, cols, StoredWeight::granule_rows(plan), reference.granule_rows,
            whole_rows ? 0 : common_piece(plan.facts().piece_cols, reference.piece_cols)};
}

// What comparing a pair needs: both sides as they are read, and sampled inputs or the projection.
JobMemory memory_of(const ComparedPair& pair, const CompareSettings& settings) {
    const uint64_t cols = cols_of(pair.reference, pair.other);
    const Tensor* const sampled = sampled_inputs(pair, settings, cols);
    const bool projects = wants_projection(pair, settings);
    const Bands bands = bands_of(pair, cols, sampled || projects);
    const ReaderFacts reference = facts_of(pair.reference);
    const uint64_t rows_at_once = bands.largest_rows(), cols_at_once = bands.largest_cols();
    JobMemory memory{reference.held, reference.scratch_bytes(rows_at_once, cols_at_once)};
    if (pair.other.stored) {
        const StoredMatrix& stored = *pair.other.stored;
        memory.held += held_by_reader(stored, stored.experts());
        memory.band += reader_facts(stored, 1).scratch_bytes(rows_at_once, cols_at_once);
    } else {
        memory.band += reader_facts(*pair.other.tensor).scratch_bytes(rows_at_once, cols_at_once);
    }
    if (sampled) {
        memory.held += LayerInputs::held_bytes(sampled->shape[0], sampled->shape[1]);
        memory.band += LayerInputs::scratch_bytes(sampled->shape[0], rows_at_once);
    }
    memory.held += bands.count() * experts_of(pair.other) *
                   (sizeof(ErrorSums) + sizeof(CodeCounts) + sizeof(OutputSums) + most_counted_codes);
    if (projects) {
        const Shape& shape = pair.reference.shape();
        memory.held += projection_bytes(shape[0], shape[1]);
    }
    return memory;
}

// One tensor and its counterpart.
class PairJob {
  public:
    PairJob(const Checkpoint& reference, const Checkpoint& other, const ComparedPair& pair,
            const CompareSettings& settings, Workers& workers, Workers::Share& share, Progress& progress)
        : pair_(pair),
          workers_(workers),
          share_(share),
          progress_(progress),
          cols_(cols_of(pair.reference, pair.other)),
          projects_(wants_projection(pair, settings)),
          sampled_(sampled_inputs(pair, settings, cols_)),
          reference_(reader_of(reference, pair.reference, cols_)) {
        const StoredMatrix* const matrix = pair.other.stored.get();
        for (uint64_t expert = 0; matrix && expert < matrix->experts(); ++expert)
            stored_.emplace_back(other, pair.other.stored, expert);
        if (!matrix) other_ = reader_of(other, pair.other, cols_);
        if (sampled_)
            inputs_.emplace(read_matrix(*settings.statistics, *sampled_),
                            matrix ? matrix->plan.get() : nullptr,
                            matrix ? stored_input_scale(other, matrix->layer) : std::nullopt,
                            matrix ? stored_.front().column_scale() : std::span<const float>());
    }

    TensorComparison run() {
        const Bands bands = bands_of(pair_, cols_, sampled_ || projects_);
        std::vector<ErrorSums> sums(experts() * bands.count());
        std::vector<CodeCounts> codes(sums.size());
        std::vector<OutputSums> outputs(sums.size());
        each_band(bands, [&](uint64_t index, const ht_region& region, Scratch& first, Scratch& second) {
            const WidenedBand before = reference_->read(region, first);
            const ht_view after = read_other(region, second, &codes[index]);
            const uint64_t n = region.rows * region.cols;
            sums[index].add({before.view.at, n}, {after.at, n}, region.row * cols_ + region.col);
            if (inputs_ && sums[index].nonfinite == 0)
                outputs[index] = inputs_->sums({before.view.at, region.rows, cols_, cols_},
                                               {after.at, region.rows, cols_, cols_});
        });
        ErrorSums sum;
        CodeCounts count;
        OutputSums output;
        for (size_t i = 0; i < sums.size(); ++i) {
            sum.add(sums[i]);
            count.add(codes[i]);
            output.add(outputs[i]);
        }
        TensorComparison result{
            pair_.name, pair_.reference.shown(), pair_.other.shown(), pair_.reference.shape(),
            false,      measures_of(sum, cols_)};
        result.measures.entropy = count.entropy();
        result.measures.saturated = count.saturated_share();
        result.identical =
            !pair_.reference.stored && !pair_.other.stored && sum.squared_error == 0 && sum.nonfinite == 0;
        if (projects_ && sum.nonfinite == 0)
            result.measures.projected =
                sum.squared_error == 0 ? 0 : projected_error(bands, result.measures.largest_error);
        if (inputs_ && sum.nonfinite == 0) {
            result.measures.output = output.error();
            result.measures.run_time = output.run_time();
        }
        return result;
    }

  private:
    uint64_t experts() const { return std::max<uint64_t>(stored_.size(), 1); }
    uint64_t rows_of_one() const { return reference_->rows() / experts(); }

    // `bands` are those of one expert; regions are of the whole stack.
    template <class Work>
    void each_band(const Bands& bands, const Work& work) {
        workers_.each_band(share_, experts() * bands.count(), [&](uint64_t index, Scratch& scratch) {
            Scratch second;
            ht_region region = bands.region(index % bands.count());
            region.row += index / bands.count() * rows_of_one();
            work(index, region, scratch, second);
            progress_.work_done += reference_->bytes_of(region);
        });
    }

    // `region` lies within one expert.
    ht_view read_other(const ht_region& region, Scratch& scratch, CodeCounts* codes) const {
        if (other_) return other_->read(region, scratch).view;
        const uint64_t rows = stored_.front().rows();
        const StoredWeight& weight = stored_[region.row / rows];
        const ht_region of_one{region.row % rows, region.col, region.rows, region.cols};
        const ht_view view = weight.decode(of_one, scratch);
        if (codes) {
            const uint64_t bytes = weight.plan().band_bytes(of_one);
            *codes = count_codes(weight, of_one, scratch.source.bytes().first(bytes), view);
        }
        weight.to_weights(of_one, view);
        return view;
    }

    // |U'(Q - W)V| / |U'WV|, with the matrix W held whole and Q read by bands.
    double projected_error(const Bands& bands, double largest_error) {
        const uint64_t rows = reference_->rows(), rank = projected_directions.rank(rows, cols_);
        Matrix whole(rows, cols_);
        each_band(bands, [&](uint64_t, const ht_region& region, Scratch& scratch, Scratch&) {
            const WidenedBand band = reference_->read(region, scratch);
            std::copy_n(band.view.at, region.rows * cols_, whole.view().row(region.row));
        });
        const float unit =
            make_moderate(whole.view(), static_cast<float>(std::min<double>(largest_error, FLT_MAX)));
        const TruncatedSvd svd = truncated_svd(whole, rank, seed);
        double in_directions = 0;
        for (double value : svd.values)
            in_directions += value * value;
        if (in_directions == 0) return std::numeric_limits<double>::infinity();

        // What the bands' errors are in the directions V, then all of that in the directions U.
        Matrix error(rows, rank);
        each_band(bands, [&](uint64_t, const ht_region& region, Scratch&, Scratch& scratch) {
            const ht_view after = read_other(region, scratch, nullptr);
            const float* before = whole.view().row(region.row);
            for (uint64_t i = 0; i < region.rows * cols_; ++i)
                after.at[i] = after.at[i] / unit - before[i];
            gemm_tile(1, {after.at, region.rows, cols_, cols_}, Op::plain, svd.right, Op::plain, 0,
                      error.view().block(region.row, 0, region.rows, rank));
        });
        Matrix projected(rank, rank);
        gemm(1, svd.left, Op::plain, error, Op::plain, 0, projected);
        return std::sqrt(squared_norm(projected) / in_directions);
    }

    const ComparedPair& pair_;
    Workers& workers_;
    Workers::Share& share_;
    Progress& progress_;
    uint64_t cols_;
    bool projects_;
    const Tensor* sampled_;
    std::unique_ptr<WeightReader> reference_, other_;
    std::vector<StoredWeight> stored_;  // the experts of one that is quantized, instead of other_
    std::optional<LayerInputs> inputs_;
};

// A mean over elements, of those tensors that have the figure.
class Mean {
  public:
    void add(std::optional<double> value, uint64_t elements) {
        if (!value) return;
        sum_ += *value * static_cast<double>(elements);
        weight_ += static_cast<double>(elements);
    }
    std::optional<double> get() const { return weight_ > 0 ? std::optional(sum_ / weight_) : std::nullopt; }

  private:
    double sum_ = 0, weight_ = 0;
};

Measures total_of(const std::vector<TensorComparison>& tensors) {
    Measures total;
    Mean error, noise, cosine, saturated, entropy, projected, output, run_time;
    for (const TensorComparison& tensor : tensors) {
        const Measures& one = tensor.measures;
        total.elements += one.elements;
        total.nonfinite += one.nonfinite;
        total.largest_error = std::max(total.largest_error, one.largest_error);
        error.add(one.relative_squared_error, one.elements);
        noise.add(std::pow(10, -one.psnr / 10), one.elements);  // decibels have no mean

        cosine.add(one.cosine, one.elements);
        saturated.add(one.saturated, one.elements);
        entropy.add(one.entropy, one.elements);
        projected.add(one.projected, one.elements);
        output.add(one.output, one.elements);
        run_time.add(one.run_time, one.elements);
    }
    total.relative_squared_error = error.get().value_or(0);
    total.sqnr = decibels(total.relative_squared_error);
    total.psnr = decibels(noise.get().value_or(0));
    total.cosine = cosine.get().value_or(1);
    total.saturated = saturated.get();
    total.entropy = entropy.get();
    total.projected = projected.get();
    total.output = output.get();
    total.run_time = run_time.get();
    return total;
}

}  // namespace

void set_totals(Progress& progress, const Pairing& pairing, const CompareSettings& settings) {
    progress.tensors_total = pairing.pairs.size();
    progress.work_total = progress.bytes_total = 0;
    for (const ComparedPair& pair : pairing.pairs) {
        progress.bytes_total += pair.reference.tensor->bytes;
        progress.work_total += pair.reference.tensor->bytes * (wants_projection(pair, settings) ? 3 : 1);
    }
}

Comparison compare(const Checkpoint& reference, const Checkpoint& other, const Pairing& pairing,
                   const CompareSettings& settings, Workers& workers, Progress& progress) {
    std::vector<TensorComparison> all(pairing.pairs.size());
    const auto need = [&](uint64_t i) {
        const JobMemory memory = memory_of(pairing.pairs[i], settings);
        workers.require_room(pairing.pairs[i].name, memory);
        return memory;
    };
    workers.each_job(all.size(), need, [&](uint64_t i, Workers::Share& share) {
        const os::Subject about(pairing.pairs[i].other.tensor->name);
        all[i] = PairJob(reference, other, pairing.pairs[i], settings, workers, share, progress).run();
        ++progress.tensors_done;
    });
    Comparison result;
    result.only_in_reference = pairing.only_in_reference;
    result.only_in_other = pairing.only_in_other;
    result.incomparable = pairing.incomparable;
    for (TensorComparison& tensor : all) {
        if (tensor.identical)
            ++result.identical;
        else
            result.tensors.push_back(std::move(tensor));
    }
    std::ranges::stable_sort(result.tensors, std::greater{}, [](const TensorComparison& tensor) {
        return std::pair(tensor.measures.run_time.value_or(-1), tensor.measures.relative_squared_error);
    });
    result.total = total_of(result.tensors);
    return result;
}

}  // namespace halftone
