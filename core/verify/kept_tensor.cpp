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

constexpr uint64_t piece = 1u << 20;  // of bytes that are compared at a time

bool compares_bytes(const ComparedPair& pair) {
    return !pair.reference.stored && pair.reference.tensor->dtype == pair.other.tensor->dtype;
}

ReaderFacts facts_of(const Comparable& one) {
    return one.stored ? reader_facts(*one.stored, one.stored->experts()) : reader_facts(*one.tensor);
}

// A plain tensor is read as one column.
Bands bands_of(const Comparable& one) {
    const ReaderFacts facts = facts_of(one);
    if (!one.stored)
        return {element_count(one.shape()).value_or(0), 1, 1, facts.granule_rows, facts.piece_cols};
    const MatrixSource& matrix = one.stored->plan->source();
    return {matrix.experts * matrix.rows, matrix.cols, 1, facts.granule_rows, facts.piece_cols};
}

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
                       Workers& workers, Workers::Share& share, Progress& progress) {
    FirstDifference difference;
    workers.each_band(share, (was.bytes + piece - 1) / piece, [&](uint64_t index, Scratch& scratch) {
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
                        const Bands& bands, Workers& workers, Workers::Share& share, Progress& progress) {
    const uint64_t element = dtype::bits(is.dtype) / 8;
    FirstDifference difference;
    workers.each_band(share, bands.count(), [&](uint64_t index, Scratch& scratch) {
        const ht_region region = bands.region(index);
        const uint64_t first = region.row * reader.cols() + region.col;
        const uint64_t n = region.rows * region.cols;
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
                       Workers& workers, Workers::Share& share, Progress& progress) {
    const Tensor &was = *pair.reference.tensor, &is = *pair.other.tensor;
    if (pair.reference.shape() != is.shape)
        return fmt::format("has shape {}, the input's {}", to_string(is.shape),
                           to_string(pair.reference.shape()));
    if (compares_bytes(pair)) return same_bytes(before, was, after, is, workers, share, progress);
    if (is.dtype != HT_DTYPE_F32 && is.dtype != HT_DTYPE_F16 && is.dtype != HT_DTYPE_BF16)
        return fmt::format("is {} now, which is no type that tensors are cast to", dtype::name(is.dtype));
    const auto reader =
        pair.reference.stored ? open_reader(before, pair.reference.stored) : open_reader(before, was, 1);
    return same_values(*reader, after, is, bands_of(pair.reference), workers, share, progress);
}

JobMemory memory_to_check_kept(const ComparedPair& pair) {
    if (compares_bytes(pair)) return {0, 2 * piece};
    const ReaderFacts facts = facts_of(pair.reference);
    const Bands bands = bands_of(pair.reference);
    const uint64_t element = dtype::bits(pair.other.tensor->dtype) / 8;
    return {facts.held, facts.scratch_bytes(bands.largest_rows(), bands.largest_cols()) +
                            2 * bands.largest_elements() * element};
}

}  // namespace halftone
