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

// How many numbers became 0 by their scale, if any were lost: where all are of one code, that is what a
// writer gives zeros, and it may well stand for another level.
uint64_t lost_under_zeros(std::span<const float> values, std::span<const float> without_zeros) {
    uint64_t count = 0;
    float first = 0;
    bool differ = false;
    for (size_t j = 0; j < values.size(); ++j) {
        if (values[j] != 0 || without_zeros[j] == 0) continue;
        if (count++ == 0) first = without_zeros[j];
        differ |= without_zeros[j] != first;
    }
    return differ ? count : 0;
}

// Rows are counted through all experts.
void decode(const Checkpoint& checkpoint, const std::shared_ptr<const StoredMatrix>& matrix, uint64_t expert,
            bool zeros, Workers& workers, Progress& progress, Odd& nonfinite, Odd& lost) {
    const StoredWeight weight(checkpoint, matrix, expert);
    std::optional<StoredWeight> without_zeros;
    if (zeros) without_zeros.emplace(checkpoint, matrix, expert, replace_zeros);
    const Bands bands(weight.rows(), weight.cols(), weight.granule_rows());
    const uint64_t rows = bands.largest_rows(), elements = bands.largest_elements();
    workers.each_band(
        bands.count(), 2 * (weight.most_bytes(rows) + elements * sizeof(float)),
        [&](uint64_t index, Scratch& scratch) {
            const ht_region region = bands.region(index);
            const ht_view view = weight.decode(region, scratch);
            const std::span<const float> values(view.at, region.rows * region.cols);
            Scratch second;
            const float* others = nullptr;
            if (without_zeros) others = without_zeros->decode(region, second).at;
            for (uint64_t i = 0; i < region.rows; ++i) {
                const auto row = values.subspan(i * region.cols, region.cols);
                const uint64_t at = expert * weight.rows() + region.row + i;
                const auto is_odd = [](float value) { return !std::isfinite(value); };
                nonfinite.add(static_cast<uint64_t>(std::ranges::count_if(row, is_odd)), at);
                if (others) lost.add(lost_under_zeros(row, {others + i * region.cols, region.cols}), at);
            }
            progress.work_done += weight.plan().band_bytes(region.row, region.rows);
        });
}

}  // namespace

void check_stored_values(const Checkpoint& checkpoint, const std::shared_ptr<const StoredMatrix>& matrix,
                         Workers& workers, Progress& progress, Findings& findings) {
    const auto memory = workers.reserve(2 * matrix->held_bytes());
    bool zeros = false;
    for (size_t i = 0; i < matrix->parts.size(); ++i) {
        const StoredTensor& stored = matrix->plan->stored()[i];
        const Tensor* const part = matrix->parts[i];
        if (part && is_scale(stored) && dtype::bits(part->dtype) == dtype::bits(stored.dtype))
            zeros |= check_scales(checkpoint, *part, stored.dtype, findings);
    }
    Odd nonfinite, lost;
    for (uint64_t expert = 0; expert < matrix->experts(); ++expert)
        decode(checkpoint, matrix, expert, zeros, workers, progress, nonfinite, lost);
    const std::string& name = matrix->weight->name;
    if (nonfinite.times() > 0)
        findings.add(name, "{} decoded values are NaN or infinite, the first in row {}", nonfinite.times(),
                     nonfinite.row());
    if (lost.times() > 0)
        findings.add(name, "{} codes that differ have a scale of 0, the first in row {}", lost.times(),
                     lost.row());
}

}  // namespace halftone
