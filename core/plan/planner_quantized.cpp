#include <algorithm>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/plan/planner.hpp"

namespace halftone {
namespace {

bool is_legacy(const QuantizedLayer& layer) {
    return std::ranges::any_of(layer.companions,
                               [](const std::string& name) { return name.ends_with(".scale_weight"); });
}

// What numbers that were quantized count as: as wide as their format recorded, or BF16, which is what
// dequantizing makes of them by default.
ht_dtype dtype_before(ht_dtype recorded) {
    const bool plain = recorded == HT_DTYPE_F32 || recorded == HT_DTYPE_F16 || recorded == HT_DTYPE_BF16;
    return plain ? recorded : ht_dtype{HT_DTYPE_BF16};
}

}  // namespace

// A weight that has scales already and that nobody wants quantized.
PlannedTensor Planner::keep_quantized(uint32_t index, const std::string& layer) {
    const std::string& label = quantized_before_.find(layer)->second.label;
    kept_quantized_.push_back(layer);
    return keep(index, "already quantized" + (label.empty() ? "" : " as " + label), "already quantized");
}

// A rule says what becomes of tensors that neither a format nor the host knows. What is named like a part of
// a quantization would be a part of none, so that it cannot be kept.
void Planner::settle_unclaimed(const StoredMatrix& stored) {
    const auto action = [&](const Tensor& tensor) {
        const int rule = rules_.first_match(tensor.name);
        return rule < 0 ? RuleAction::quantize : plan_.pipeline.rules[static_cast<size_t>(rule)].action;
    };
    demand_claimed(
        stored,
        [&](const Tensor& tensor) {
            return action(tensor) == RuleAction::remove ||
                   (action(tensor) == RuleAction::keep && !is_named_like_companion(tensor.name));
        },
        [](const Tensor& tensor, const std::string& pattern) {
            return fmt::format(
                "a [[rule]] with match = \"{}\" decides: action = \"remove\" leaves such tensors out{}\n"
                "  a [[rule]] with action = \"keep\" for the weights leaves such layers as they are",
                pattern, is_named_like_companion(tensor.name) ? "" : ", \"keep\" copies them");
        });
    for (const Tensor* tensor : stored.unclaimed)
        if (action(*tensor) == RuleAction::keep) replaced_.erase(tensor->name);
}

// A weight that has scales already: it is read back and quantized as the pipeline says.
PlannedTensor Planner::requantize(uint32_t index, const ResolvedTreatment& treatment, uint32_t flags) {
    const std::string layer(layer_name(tensor(index).name));
    std::shared_ptr<const StoredMatrix> stored;
    try {
        stored = recognition_->recognize(quantized_before_.find(layer)->second);
    } catch (const Error& error) {
        throw Error(error.code(), error.where(), error.problem(),
                    error.advice() + "\n  a [[rule]] with action = \"keep\" leaves such layers as they are");
    }
    const MatrixSource& before = stored->plan->source();
    if (before.rows == 0 || before.cols == 0 || before.shape.size() != (before.experts > 1 ? 3 : 2))
        return keep_quantized(index, layer);
    MatrixSource matrix;
    matrix.dtype = dtype_before(before.dtype);
    matrix.shape = before.shape;
    matrix.experts = before.experts;
    matrix.rows = before.rows;
    matrix.cols = before.cols;
    PlannedTensor result = quantize(index, std::move(matrix), treatment, flags, stored.get());
    if (result.action != Action::quantize) return result;
    result.reason = "was " + stored->shown + (result.reason.empty() ? "" : "; " + result.reason);
    for (const Tensor* part : stored->parts)
        if (part && part != stored->weight) replaced_.insert(part->name);
    const QuantizedLayer& found = quantized_before_.find(layer)->second;
    replaced_.insert(found.companions.begin(), found.companions.end());
    settle_unclaimed(*stored);
    result.stored = std::move(stored);
    requantized_.push_back(layer);
    return result;
}

// Loaders look at the whole file to tell the legacy layout from the other: a mixture would lose its scales
// silently.
void Planner::check_kept_layouts() const {
    if (changes_.touched.empty()) return;
    for (const auto& [name, layer] : quantized_before_) {
        const bool legacy = is_legacy(layer);
        if (changes_.touched.contains(name) || layer.companions.empty() ||
            legacy == (dialect_ == HT_DIALECT_LEGACY))
            continue;
        throw Error(
            Exit::input, name,
            fmt::format("it stays quantized in {} layout, and no loader takes both layouts in one file",
                        legacy ? "the legacy" : "another"),
            "quantize it anew with the others, or set [output] layout to the one the file has");
    }
}

// Markers for the whole file are false once no layer that they speak for is left as it was. Beside such a
// marker, theirs or the output's, loaders take weights with dummy scales for quantized.
void Planner::drop_legacy_leftovers() {
    if (changes_.touched.empty() || (file_markers_.empty() && whole_file_.empty())) return;
    const std::set<std::string_view> markers(file_markers_.begin(), file_markers_.end());
    for (const auto& [name, layer] : quantized_before_) {
        const bool marked = is_legacy(layer) || markers.contains(layer.evidence);
        if (marked && !changes_.touched.contains(name)) return;
    }
    replaced_.insert(file_markers_.begin(), file_markers_.end());
    for (const Tensor& one : plan_.checkpoint->tensors())
        for (const std::string_view suffix : {".scale_weight", ".scale_input"}) {
            if (!one.name.ends_with(suffix)) continue;
            const std::string layer = one.name.substr(0, one.name.size() - suffix.size());
            if (plan_.checkpoint->find(layer + ".weight") && !quantized_before_.contains(layer))
                replaced_.insert(one.name);
        }
}

// An unquantized layer may carry dummy scales or an empty marker; what the new quantization writes takes
// their place.
void Planner::drop_what_is_replaced() {
    std::set<std::string> written;
    for (const PlannedTensor& planned : plan_.tensors)
        if (planned.action == Action::quantize)
            for (const PlannedOutput& output : planned.outputs)
                written.insert(output.name);
    for (PlannedTensor& planned : plan_.tensors) {
        if (planned.action != Action::keep && planned.action != Action::cast) continue;
        const std::string& name = tensor(planned.source).name;
        const auto stale = [&](std::string_view suffix) {
            return name.ends_with(suffix) &&
                   changes_.touched.contains(name.substr(0, name.size() - suffix.size()));
        };
        if (written.contains(name) || replaced_.contains(name) ||
            std::ranges::any_of(companion_suffixes(), stale))
            planned = remove(planned.source, "its layer was removed or quantized anew");
    }
}

}  // namespace halftone
