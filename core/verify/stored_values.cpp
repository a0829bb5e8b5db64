#include "core/verify/stored_values.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>

#include "core/base/error.hpp"
#include "core/plan/stored_types.hpp"
#include "core/run/bands.hpp"
#include "core/run/stored_weight.hpp"
#include "core/run/weight_reader.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

// Numbers that values are multiplied by. Where a role is stored in bytes that are no numbers of their own,
// decoding has to tell.
bool is_scale(const StoredTensor& stored) {
    const bool role = stored.role == HT_ROLE_SCALE || stored.role == HT_ROLE_SCALE_2 ||
                      stored.role == HT_ROLE_ABSMAX || stored.role == HT_ROLE_NESTED_ABSMAX;
    return role && dtype::widens(stored.dtype);
}

struct Fault {
    const char* name;
    bool (*applies)(float);
};
constexpr std::array<Fault, 3> faults = {{
    {"NaN or infinite", [](float scale) { return !std::isfinite(scale); }},
    {"negative", [](float scale) { return scale < 0; }},
    // Hardware may take them for zero. In 8 bits they are numbers like others, and normal as float32.
    {"subnormal", [](float scale) { return scale > 0 && scale < FLT_MIN; }},
}};

// Returns whether some of them are zero.
bool check_scales(const Checkpoint& checkpoint, const Tensor& tensor, ht_dtype as, Findings& findings) {
    Tensor typed = tensor;  // single bytes may go by another type
    typed.dtype = as;
    const std::unique_ptr<WeightReader> reader = open_reader(checkpoint, typed, 1);
    struct Count {
        uint64_t times = 0, first = 0;
        float value = 0;
    };
    std::array<Count, faults.size()> counts;
    bool zeros = false;
    Scratch scratch;
    for (uint64_t row = 0; row < reader->rows(); row += flat_band_elements) {
        const uint64_t n = std::min(flat_band_elements, reader->rows() - row);
        const ht_view view = reader->read({row, 0, n, 1}, scratch).view;
        for (uint64_t i = 0; i < n; ++i) {
            zeros |= view.at[i] == 0;
            for (size_t fault = 0; fault < faults.size(); ++fault)
                if (faults[fault].applies(view.at[i]) && counts[fault].times++ == 0)
                    counts[fault] = {1, row + i, view.at[i]};
        }
    }
    for (size_t fault = 0; fault < faults.size(); ++fault)
        if (counts[fault].times > 0)
            findings.add(tensor.name, "{} of {} scales are {}; the first is {} at {}", counts[fault].times,
                         reader->rows(), faults[fault].name, counts[fault].value, counts[fault].first);
    return zeros;
}

// Scales of 0 become 1: what is decoded to something else then was lost under them.
void replace_zeros(const StoredTensor& stored, std::span<std::byte> bytes) {
    if (!is_scale(stored)) return;
    const uint64_t element = dtype::bits(stored.dtype) / 8, n = bytes.size() / element;
    std::vector<float> values(n);
    widen(stored.dtype, bytes.first(n * element), values);
    std::array<std::byte, sizeof(double)> one{};
    if (stored.dtype == HT_DTYPE_F8_E4M3 || stored.dtype == HT_DTYPE_F8_E5M2)
        one[0] = std::byte{stored.dtype == HT_DTYPE_F8_E4M3 ? uint8_t{0x38} : uint8_t{0x3C}};
    else if (stored.dtype == HT_DTYPE_F64)
        std::memcpy(one.data(), std::array{1.0}.data(), sizeof(double));
    else
        narrow(stored.dtype, std::array{1.0f}, std::span(one).first(element));
    for (uint64_t i = 0; i < n; ++i)
        if (values[i] == 0) std::copy_n(one.data(), element, bytes.data() + i * element);
}

// How many values are odd, and the first row that has one.
class Odd {
  public:
    void add(uint64_t times, uint64_t row) {
        if (times == 0) return;
        times_ += times;
        uint64_t known = row_;
        while (row < known && !row_.compare_exchange_weak(known, row)) {
        }
    }
    uint64_t times() const { return times_; }
    uint64_t row() const { return row_; }

  private:
    std::atomic<uint64_t> times_ = 0, row_ = UINT64_MAX;
};

// Numbers that became 0 by their scale: without it they would be neither what the format makes of zeros, nor
// what bits of 0 stand for, which some writers give to groups of zeros.
class LostNumbers {
  public:
    LostNumbers(const StoredWeight& weight, const StoredWeight& without_zeros)
        : weight_(weight), without_zeros_(without_zeros) {}

    // `values` are those of the region as they are stored, and finite.
    void look_at(const ht_region& region, const ht_view& values) {
        shown_ = without_zeros_.decode(region, scratch_).at;
        std::vector<std::byte> codes(weight_.plan().band_bytes(region));
        of_zero_bits_ = decoded(region, codes);
        weight_.plan().encode(weight_.grid(), region, values, codes);
        of_zeros_ = decoded(region, codes);
    }
    bool lost(uint64_t i, float value) const {
        return value == 0 && shown_[i] != of_zeros_[i] && shown_[i] != of_zero_bits_[i];
    }

  private:
    std::vector<float> decoded(const ht_region& region, std::span<const std::byte> codes) const {
        std::vector<float> values(region.rows * region.cols);
        without_zeros_.plan().decode(without_zeros_.grid(), region, codes,
                                     {values.data(), static_cast<int64_t>(region.cols), 1});
        return values;
    }

    const StoredWeight &weight_, &without_zeros_;
    Scratch scratch_;
    const float* shown_ = nullptr;
    std::vector<float> of_zeros_, of_zero_bits_;
};

// Null where the format refuses such scales.
std::unique_ptr<StoredWeight> without_zero_scales(const Checkpoint& checkpoint,
                                                  const std::shared_ptr<const StoredMatrix>& matrix,
                                                  uint64_t expert) {
    try {
        return std::make_unique<StoredWeight>(checkpoint, matrix, expert, replace_zeros);
    } catch (const Error& error) {
        if (error.code() != Exit::input) throw;
        return nullptr;
    }
}

Bands bands_of(const StoredMatrix& matrix) {
    const MatrixSource& source = matrix.plan->source();
    return {source.rows, source.cols, StoredWeight::granule_rows(*matrix.plan), 1,
            matrix.plan->facts().piece_cols};
}

// Rows are counted through all experts.
void decode(const Checkpoint& checkpoint, const std::shared_ptr<const StoredMatrix>& matrix, uint64_t expert,
            bool zeros, Workers& workers, Workers::Share& share, Progress& progress, Odd& nonfinite,
            Odd& lost) {
    const StoredWeight weight(checkpoint, matrix, expert);
    const std::unique_ptr<StoredWeight> without_zeros =
        zeros ? without_zero_scales(checkpoint, matrix, expert) : nullptr;
    const Bands bands = bands_of(*matrix);
    workers.each_band(share, bands.count(), [&](uint64_t index, Scratch& scratch) {
        const ht_region region = bands.region(index);
        const ht_view view = weight.decode(region, scratch);
        const std::span<const float> values(view.at, region.rows * region.cols);
        const uint64_t first_row = expert * weight.rows() + region.row;
        uint64_t odd = 0;
        for (uint64_t i = 0; i < region.rows; ++i) {
            const auto row = values.subspan(i * region.cols, region.cols);
            const auto found = static_cast<uint64_t>(
                std::ranges::count_if(row, [](float value) { return !std::isfinite(value); }));
            nonfinite.add(found, first_row + i);
            odd += found;
        }
        if (without_zeros && odd == 0) {
            LostNumbers numbers(weight, *without_zeros);
            numbers.look_at(region, view);
            for (uint64_t i = 0; i < values.size(); ++i)
                lost.add(numbers.lost(i, values[i]), first_row + i / region.cols);
        }
        progress.work_done += weight.plan().band_bytes(region);
    });
}

}  // namespace

void check_stored_values(const Checkpoint& checkpoint, const std::shared_ptr<const StoredMatrix>& matrix,
                         Workers& workers, Workers::Share& share, Progress& progress, Findings& findings) {
    bool zeros = false;
    for (size_t i = 0; i < matrix->parts.size(); ++i) {
        const StoredTensor& stored = matrix->plan->stored()[i];
        const Tensor* const part = matrix->parts[i];
        if (!part || !is_scale(stored)) continue;
        if (is_converted(*part, stored))
            zeros |= check_scales(checkpoint, *part, part->dtype, findings);
        else if (dtype::bits(part->dtype) == dtype::bits(stored.dtype))
            zeros |= check_scales(checkpoint, *part, stored.dtype, findings);
    }
    if (zeros) share.change(memory_to_check_values(*matrix, zeros));  // nothing is held yet
    Odd nonfinite, lost;
    for (uint64_t expert = 0; expert < matrix->experts(); ++expert)
        decode(checkpoint, matrix, expert, zeros, workers, share, progress, nonfinite, lost);
    const std::string& name = matrix->weight->name;
    if (nonfinite.times() > 0)
        findings.add(name, "{} decoded values are NaN or infinite, the first in row {}", nonfinite.times(),
                     nonfinite.row());
    if (lost.times() > 0)
        findings.add(name, "{} codes that are none of zeros have a scale of 0, the first in row {}",
                     lost.times(), lost.row());
}

JobMemory memory_to_check_values(const StoredMatrix& matrix, bool zeros) {
    const Bands bands = bands_of(matrix);
    const uint64_t once = reader_facts(matrix, 1).scratch_bytes(bands.largest_rows(), bands.largest_cols());
    return {(zeros ? 2 : 1) * held_by_reader(matrix, 1), (zeros ? 4 : 1) * once};
}

}  // namespace halftone
