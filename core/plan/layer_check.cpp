#include "core/plan/layer_check.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <span>

#include "core/base/text.hpp"
#include "core/checkpoint/quantized.hpp"
#include "core/plan/selection.hpp"
#include "core/plan/stored_matrix.hpp"
#include "core/plan/value_loss.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

constexpr std::string_view legacy_scale = ".scale_weight", legacy_input = ".scale_input";

// What is lost at most where a loader converts a weight by value and the numbers still count as the same.
constexpr double negligible_loss = 1e-5;

bool is_plain(ht_dtype dtype) {
    return dtype::is_float(dtype) && dtype::bits(dtype) >= 16;
}

std::string why_nameless(const SortedJson& marker, bool in_header) {
    const auto format = marker.find("format");
    const std::string where = in_header ? "its entry in the header" : "its marker";
    if (format == marker.end() || format->is_null()) return fmt::format("{} names no format", where);
    return fmt::format("{} has {} as its format", where, text::printable(format->dump(-1, ' ', true), 60));
}

std::vector<std::string> in_quotes_each(const std::vector<std::string>& names) {
    std::vector<std::string> quoted;
    for (const std::string& name : names)
        quoted.push_back(fmt::format("'{}'", text::printable(name, 60)));
    return quoted;
}

}  // namespace

Judgment LayerCheck::judge(const std::string& name, const ActingMarker& acting, const MarkerJson& marker,
                           const LayerAsRead& as_read) const {
    Judgment judgment = as_read.judgment;
    const Tensor& weight = *checkpoint_.find(name + ".weight");
    const auto refused = [&](const std::string& why, const std::string& instead = "") {
        judgment.refuse(why, instead);
        return judgment;
    };
    if (!marker.problem.empty())
        return refused(marker.problem, "halftone run with this file as its input writes a clean one");
    const std::string label = label_of(marker.value);
    if (label.empty())
        return refused(
            why_nameless(marker.value, acting.in_header),
            "halftone run with this file as its input writes one that names it, if a format here reads it");
    const size_t rank = weight.shape.size();
    const uint64_t flat = flat_experts_of(name, weight, marker.value);
    const bool stack =
        flat > 1 ||
        (rank == 3 && (name.find("expert") != std::string::npos || marker.value.contains("num_experts")));
    const bool known = loaders_.layer_rule(loader_.id, label, LayerKind::matrix) != nullptr;
    if (known && rank != 2 && !stack) {
        if (!is_plain(weight.dtype))
            return refused(
                fmt::format("its weight has {}, and {} quantizes matrices and stacks of experts only",
                            text::plural(rank, "dimension"), loader_.name));
        Judgment taken;
        taken.taken = true;
        taken.remarks.push_back(fmt::format("{} ignores the marker of what is no matrix", loader_.name));
        return taken;
    }
    const LayerKind kind = stack                       ? LayerKind::stack
                           : is_embedding(weight.name) ? LayerKind::embedding
                                                       : LayerKind::matrix;
    const LayerRule* rule = loaders_.layer_rule(loader_.id, label, kind);
    if (!rule) {
        judge_undescribed(label, kind, judgment);
        return judgment;
    }
    if (judgment.ruled && !judgment.taken) return judgment;
    FoundLayerTensors tensors = tensors_of(name, kind, acting, marker.value);
    tensors.flat_experts = flat;
    const LayerFinding finding = hold_against(*rule, tensors, loader_.name);
    if (!finding.fault.empty()) return refused(finding.fault, finding.advice);
    if (finding.converts && !survives_conversion(weight, *rule, judgment)) return judgment;
    take(*rule, finding, as_read, judgment);
    if (kind != LayerKind::embedding && asks_for_full_precision(marker.value)) {
        judgment.activations = "none: its marker has the weight dequantized before multiplying";
        judgment.hardware.clear();
    }
    check_shapes(name, finding, judgment);
    return judgment;
}

FoundLayerTensors LayerCheck::tensors_of(const std::string& name, LayerKind kind, const ActingMarker& acting,
                                         const SortedJson& marker) const {
    FoundLayerTensors found{kind, {}, marker};
    for (const Tensor* tensor : tensors_of_layer(checkpoint_, name)) {
        std::string rest = tensor->name.substr(name.size());
        if (rest.find('.', 1) != std::string::npos) continue;
        if (acting.legacy && rest == legacy_scale) rest = ".weight_scale";
        if (acting.legacy && rest == legacy_input) {
            if (is_exactly_one(*tensor)) continue;  // dropped
            rest = ".input_scale";
        }
        found.tensors.push_back({rest, tensor->dtype, tensor->shape});
    }
    return found;
}

bool LayerCheck::is_exactly_one(const Tensor& tensor) const {
    if (element_count(tensor.shape).value_or(0) != 1 || !dtype::widens(tensor.dtype)) return false;
    float value = 0;
    widen(tensor.dtype, checkpoint_.read_all(tensor), std::span(&value, 1));
    return value == 1.0F;
}

void LayerCheck::judge_undescribed(const std::string& label, LayerKind kind, Judgment& judgment) const {
    const bool known = loaders_.layer_rule(loader_.id, label, LayerKind::matrix) != nullptr;
    if (kind == LayerKind::embedding)
        judgment.refuse(fmt::format("{} takes embedding tables as {} only, and this one for plain numbers",
                                    loader_.name, text::join(loader_.embeddings, ", ")),
                        "keep embeddings, or store them as one of these");
    else if (known)
        judgment.refuse(
            fmt::format("{} takes no stacks of experts with the label '{}'", loader_.name, label));
    else if (!judgment.ruled && judgment.reason.empty())
        judgment = judge_label(loaders_, loader_, label, "");
}

// The loader converts numbers, whatever the label says; codes that someone stored as wider numbers survive
// that.
bool LayerCheck::survives_conversion(const Tensor& weight, const LayerRule& rule, Judgment& judgment) const {
    const ht_dtype to = dtype::from_name(rule.converted).value_or(weight.dtype);
    if (dtype::widens(weight.dtype) && conversion_loss(checkpoint_, weight, to) <= negligible_loss)
        return true;
    judgment.refuse(fmt::format("its weight is {}, and {} converts it by value to {}: other numbers",
                                dtype::name(weight.dtype), loader_.name, rule.converted));
    return false;
}

void LayerCheck::take(const LayerRule& rule, const LayerFinding& finding, const LayerAsRead& read,
                      Judgment& judgment) const {
    Judgment taken;
    taken.taken = true;
    taken.ruled = judgment.ruled;
    taken.since = rule.since.value_or(judgment.since);
    taken.activations = rule.activations.value_or(judgment.activations);
    taken.hardware = rule.hardware.value_or(judgment.hardware);
    if (judgment.ruled) {  // somebody's own file knows better
        if (!judgment.since.empty()) taken.since = judgment.since;
        if (!judgment.activations.empty()) taken.activations = judgment.activations;
        if (!judgment.hardware.empty()) taken.hardware = judgment.hardware;
    }
    if (judgment.taken && read.readable) taken.remarks = judgment.remarks;
    if (rule.remark && std::ranges::find(taken.remarks, *rule.remark) == taken.remarks.end())
        taken.remarks.push_back(*rule.remark);
    if (!read.readable)
        taken.remarks.push_back(
            fmt::format("{} takes it; Halftone cannot read it: {}", loader_.name, read.why_not));
    if (!finding.ignored.empty())
        taken.remarks.push_back(fmt::format("{} does not read its {}, and says so in its log", loader_.name,
                                            text::join(in_quotes_each(finding.ignored), ", ")));
    judgment = std::move(taken);
}

// What the loader builds depends on the shapes of a few weights.
void LayerCheck::check_shapes(const std::string& name, const LayerFinding& finding,
                              Judgment& judgment) const {
    const bool columns = finding.packs_columns && family_.reads_columns(name),
               rows = finding.pads_rows && family_.reads_rows(name);
    if (columns || rows)
        judgment.refuse(shape_fault(loader_, *family_.family, columns),
                        "a [[rule]] that keeps this layer, or a format of 8 bits for it");
    else if (family_.takes_no_companions(name))
        judgment.refuse(companion_fault(loader_, *family_.family), "a [[rule]] that keeps this layer");
}

}  // namespace halftone
