#include "core/run/stored_weight.hpp"

#include <algorithm>
#include <cmath>

#include <halftone/ext/draft/column_scale.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/plan/stored_types.hpp"
#include "core/tensor/convert.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

std::vector<std::byte> as_f32(ht_dtype dtype, std::span<const std::byte> from) {
    std::vector<float> values(from.size() * 8 / dtype::bits(dtype));
    widen(dtype, from, values);
    const auto bytes = std::as_bytes(std::span(values));
    return {bytes.begin(), bytes.end()};
}

// The bytes of a companion in the length that the plan gives it. Texts may come in any length: those of ours
// are padded with spaces, and so are the others here.
std::vector<std::byte> companion_bytes(const Checkpoint& checkpoint, const Tensor& tensor,
                                       const StoredTensor& stored, uint64_t experts, uint64_t expert) {
    const bool converted = is_converted(tensor, stored);
    if (experts > 1 || converted) {  // where all experts have the same one, it is stored once
        const uint64_t size =
            converted ? stored.bytes * dtype::bits(tensor.dtype) / dtype::bits(stored.dtype) : stored.bytes;
        std::vector<std::byte> bytes(size);
        checkpoint.read(tensor, tensor.bytes == size ? 0 : expert * size, bytes);
        return converted ? as_f32(tensor.dtype, bytes) : bytes;
    }
    std::vector<std::byte> bytes = checkpoint.read_all(tensor);
    if (bytes.size() == stored.bytes) return bytes;
    const auto is_padding = [](std::byte byte) { return byte == std::byte{' '} || byte == std::byte{0}; };
    while (bytes.size() > stored.bytes && is_padding(bytes.back()))
        bytes.pop_back();
    if (bytes.size() > stored.bytes)
        fail(Exit::input, tensor.name, "has {} bytes of text; at most {} are possible", bytes.size(),
             stored.bytes);
    bytes.resize(stored.bytes, std::byte{' '});
    return bytes;
}

}  // namespace

std::vector<float> column_scale_of(const Checkpoint& checkpoint, const StoredMatrix& matrix) {
    const std::vector<StoredTensor>& stored = matrix.plan->stored();
    const auto found = std::ranges::find(stored, HT_ROLE_COLUMN_SCALE, &StoredTensor::role);
    if (found == stored.end()) return {};
    const Tensor* const part = matrix.parts[static_cast<size_t>(found - stored.begin())];
    if (!part) return {};
    std::vector<float> scale(element_count(part->shape).value_or(0));
    widen(part->dtype, checkpoint.read_all(*part), scale);
    const auto odd = std::ranges::find_if_not(scale, [](float x) { return std::isfinite(x); });
    if (odd != scale.end())
        fail(Exit::input, part->name, "element {} is {}, which is no scale", odd - scale.begin(), *odd);
    if (scale.size() == 1) scale.resize(matrix.plan->source().cols, scale.front());
    return scale;
}

StoredWeight::StoredWeight(const Checkpoint& checkpoint, std::shared_ptr<const StoredMatrix> matrix,
                           uint64_t expert, const Change& change)
    : checkpoint_(checkpoint),
      matrix_(std::move(matrix)),
      expert_(expert),
      column_scale_(column_scale_of(checkpoint, *matrix_)) {
    std::vector<std::vector<std::byte>> contents(matrix_->parts.size());
    std::vector<const uint8_t*> at(matrix_->parts.size());
    for (size_t i = 0; i < at.size(); ++i) {
        const Tensor* part = matrix_->parts[i];
        if (!part || part == matrix_->weight || plan().stored()[i].role == HT_ROLE_COLUMN_SCALE) continue;
        contents[i] = companion_bytes(checkpoint, *part, plan().stored()[i], matrix_->experts(), expert);
        if (change) change(plan().stored()[i], contents[i]);
        at[i] = reinterpret_cast<const uint8_t*>(contents[i].data());
    }
    grid_ = plan().make_grid();
    try {
        plan().load(at, grid_);
    } catch (const Refusal& refusal) {
        fail(Exit::input, matrix_->layer, "{} cannot be read: {}", matrix_->shown, refusal.what());
    }
}

uint64_t StoredWeight::granule_rows(const FormatPlan& plan) {
    return std::clamp<uint64_t>(plan.facts().granule_rows, 1, std::max<uint64_t>(plan.source().rows, 1));
}

ht_region StoredWeight::covering(const ht_region& region) const {
    const uint64_t granule = granule_rows();
    const uint64_t first = region.row / granule * granule;
    const uint64_t granules = (region.row + region.rows - first + granule - 1) / granule;
    return {first, region.col, std::min(granules * granule, rows() - first), region.cols};
}

uint64_t StoredWeight::most_bytes(const FormatPlan& plan, uint64_t rows) {
    const uint64_t granule = granule_rows(plan), all = plan.source().rows;
    // The band with the last row has what is left, padding included.
    const uint64_t last = all == 0 ? 0 : (all - 1) / granule * granule;
    const uint64_t tail = plan.band_bytes(last, all - last);
    return std::min(plan.weight_bytes(), (rows + granule - 1) / granule * plan.facts().granule_bytes + tail);
}

std::span<const std::byte> StoredWeight::read_codes(const ht_region& region, Scratch& scratch) const {
    const auto codes = Scratch::sized(scratch.source, plan().band_bytes(region));
    checkpoint_.read(*matrix_->weight, expert_ * plan().weight_bytes() + plan().band_offset(region), codes);
    return codes;
}

ht_view StoredWeight::decode(const ht_region& region, Scratch& scratch) const {
    const std::span<const std::byte> codes = read_codes(region, scratch);
    const uint64_t elements = region.rows * region.cols;
    Scratch::sized(scratch.values, elements * sizeof(float));
    const ht_view view{scratch.values.as<float>().data(), static_cast<int64_t>(region.cols), 1};
    plan().decode(grid_, region, codes, view);
    return view;
}

void StoredWeight::to_weights(const ht_region& region, const ht_view& view) const {
    plan().rotate(true, view, region.rows);
    if (column_scale_.empty()) return;
    const float* const scale = column_scale_.data() + region.col;
    for (uint64_t i = 0; i < region.rows; ++i) {
        float* const row = view.at + static_cast<int64_t>(i) * view.row_stride;
        for (uint64_t j = 0; j < region.cols; ++j)
            row[j] *= scale[j];
    }
}

}  // namespace halftone
