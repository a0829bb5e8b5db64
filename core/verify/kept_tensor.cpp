#include "core/verify/kept_tensor.hpp"

#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <fmt/format.h>

#include "core/run/bands.hpp"
#include "core/run/weight_reader.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

// The smallest flat index of a difference, from any thread.
class FirstDifference {
  public:
    void at(uint64_t index) {
        uint64_t known = index_;
        while (index < known && !index_.compare_exchange_weak(known, index)) {
        }
    }
    std::string told(const char* unit) const {
        return index_ == UINT64_MAX
                   ? ""
                   : fmt::format("differs from the input, first at {} {}", unit, index_.load());
    }

  private:
    std::atomic<uint64_t> index_ = UINT64_MAX;
};

std::string same_bytes(const Checkpoint& before, const Tensor& was, const Checkpoint& after, const Tensor& is,
                       Workers& workers, Progress& progress) {
    constexpr uint64_t piece = 1u << 20;
    FirstDifference difference;
    workers.each_band((was.bytes + piece - 1) / piece, 2 * piece, [&](uint64_t index, Scratch& scratch) {
        const uint64_t offset = index * piece, n = std::min(piece, was.bytes - offset);
        const auto old_bytes = Scratch::sized(scratch.source, n), bytes = Scratch::sized(scratch.encoded, n);
        before.read(was, offset, old_bytes);
        after.read(is, offset, bytes);
        const auto [at, other] = std::ranges::mismatch(old_bytes, bytes);
        if (at != old_bytes.end()) difference.at(offset + static_cast<uint64_t>(at - old_bytes.begin()));
        progress.work_done += n;
    });
    return difference.told("byte");
}

// Numbers that a type cannot hold stop a run, or become the largest that it can; infinities stay.
void clamp_finite(ht_dtype dtype, std::span<float> values) {
    const float most = dtype == HT_DTYPE_F16 ? 65504.0f : dtype == HT_DTYPE_BF16 ? 0x1.FEp127f : FLT_MAX;
    for (float& value : values)
        if (std::isfinite(value)) value = std::clamp(value, -most, most);
}

// Its values, rounded once to the type that it has now.
std::string same_values(const WeightReader& reader, const Checkpoint& after, const Tensor& is,
                        Workers& workers, Progress& progress) {
    const uint64_t element = dtype::bits(is.dtype) / 8;
    const Bands bands(reader.rows(), reader.cols(), 1, reader.granule_rows());
    FirstDifference difference;
    workers.each_band(bands.count(),
                      reader.scratch_bytes(bands.largest_rows()) + 2 * bands.largest_elements() * element,
                      [&](uint64_t index, Scratch& scratch) {
                          const ht_region region = bands.region(index);
                          const uint64_t first = region.row * region.cols, n = region.rows * region.cols;
                          const WidenedBand band = reader.read(region, scratch);
                          clamp_finite(is.dtype, {band.view.at, n});
                          const auto expected = Scratch::sized(scratch.encoded, n * element);
                          narrow(is.dtype, {band.view.at, n}, expected);
                          const auto bytes = Scratch::sized(scratch.source, n * element);
                          after.read(is, first * element, bytes);
                          const auto [at, other] = std::ranges::mismatch(expected, bytes);
                          if (at != expected.end())
                              difference.at(first + static_cast<uint64_t>(at - expected.begin()) / element);
                          progress.work_done += reader.bytes_of(region);
                      });
    return difference.told("element");
}

}  // namespace

std::string check_kept(const Checkpoint& before, const Checkpoint& after, const ComparedPair& pair,
                       Workers& workers, Progress& progress) {
    const Tensor &was = *pair.reference.tensor, &is = *pair.other.tensor;
    if (pair.reference.shape() != is.shape)
        return fmt::format("has shape {}, the input's {}", to_string(is.shape),
                           to_string(pair.reference.shape()));
    if (!pair.reference.stored && was.dtype == is.dtype)
        return same_bytes(before, was, after, is, workers, progress);
    if (is.dtype != HT_DTYPE_F32 && is.dtype != HT_DTYPE_F16 && is.dtype != HT_DTYPE_BF16)
        return fmt::format("is {} now, which is no type that tensors are cast to", dtype::name(is.dtype));
    const auto memory = workers.reserve(pair.reference.stored ? pair.reference.stored->held_bytes() : 0);
    const auto reader =
        pair.reference.stored ? open_reader(before, pair.reference.stored) : open_reader(before, was, 1);
    return same_values(*reader, after, is, workers, progress);
}

}  // namespace halftone
