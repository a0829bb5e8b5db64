#include "core/report/plan_report.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/text.hpp"
#include "core/report/table.hpp"

namespace halftone {
namespace {

std::string_view name(Action action) {
    switch (action) {
        case Action::quantize:
            return "quantize";
        case Action::keep:
            return "keep";
        case Action::cast:
            return "narrow";
        case Action::remove:
            return "remove";
    }
    return "";
}

// Reasons of rules, of plugins and of profiles come from strangers' files.
std::string harmless(const std::string& text) {
    return text::printable(text, std::string::npos);
}

const Tensor& source_of(const Plan& plan, const PlannedTensor& planned) {
    return plan.checkpoint->tensors()[planned.source];
}

uint64_t stored_bytes(const PlannedTensor& planned) {
    uint64_t bytes = 0;
    for (const PlannedOutput& output : planned.outputs)
        bytes += output.bytes;
    return bytes;
}

std::string percent(uint64_t part, uint64_t whole) {
    return whole == 0
               ? "-"
               : fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string line_for_each(const PlanTotals::Counted& counts, std::string_view what) {
    std::string text;
    for (const auto& [reason, count] : counts)
        text += fmt::format("{} {}: {}\n", text::plural(count, "matrix", "matrices"), what, reason);
    return text;
}

// What loaders find beside the numbers, where the source had something or the run could not do as asked.
std::string beside_the_numbers(const PlanTotals& totals) {
    std::string text;
    if (totals.scales_carried_over > 0)
        text += fmt::format("{} with the input scale of the source\n",
                            text::plural(totals.scales_carried_over, "matrix", "matrices"));
    text += line_for_each(totals.scales_left_out, "without the input scale of the source");
    if (totals.full_precision_carried_over > 0)
        text += fmt::format("{} multiplied in full precision, as in the source\n",
                            text::plural(totals.full_precision_carried_over, "matrix", "matrices"));
    text += line_for_each(totals.full_precision_left_out, "no longer multiplied in full precision");
    return text + line_for_each(totals.not_learned, "rounded to nearest");
}

std::string totals_text(const Plan& plan) {
    const PlanTotals& totals = plan.totals;
    std::string text = fmt::format("{}: {} quantized, {} kept", text::plural(plan.tensors.size(), "tensor"),
                                   text::grouped(totals.quantized), text::grouped(totals.kept));
    if (totals.cast) text += fmt::format(", {} narrowed", text::grouped(totals.cast));
    if (totals.removed) text += fmt::format(", {} removed", text::grouped(totals.removed));
    text += fmt::format("\n{} -> {} ({})\n", text::bytes(totals.bytes_before),
                        text::bytes(totals.bytes_after), percent(totals.bytes_after, totals.bytes_before));
    if (totals.quantized)
        text += fmt::format("quantized matrices: {} -> {} ({:.2f} bits a weight)\n",
                            text::bytes(totals.quantized_before), text::bytes(totals.quantized_after),
                            8.0 * static_cast<double>(totals.quantized_after) /
                                static_cast<double>(totals.elements_quantized));
    for (const auto& [remark, count] : totals.remarks)
        text += fmt::format("{} {}\n", text::plural(count, "matrix", "matrices"), harmless(remark));
    text += beside_the_numbers(totals);
    if (!totals.kept_by_reason.empty()) text += "kept: " + commonest_reasons(plan, 8) + "\n";
    if (totals.bf16_would_save)
        text += fmt::format("[output] kept = \"bf16\" would save {}\n", text::bytes(totals.bf16_would_save));
    return text;
}

Json counted(const PlanTotals::Counted& counts) {
    Json result = Json::object();
    for (const auto& [text, count] : counts)
        result[text] = count;
    return result;
}

}  // namespace

std::string commonest_reasons(const Plan& plan, size_t limit) {
    std::vector<std::string> parts;
    const auto& reasons = plan.totals.kept_by_reason;
    for (size_t i = 0; i < std::min(limit, reasons.size()); ++i)
        parts.push_back(fmt::format("{} {}", text::grouped(reasons[i].second), harmless(reasons[i].first)));
    if (reasons.size() > limit) parts.push_back(fmt::format("{} other reasons", reasons.size() - limit));
    return text::join(parts, "; ");
}

std::string plan_table(const Plan& plan, const TableSettings& settings) {
    TextTable table;
    table.columns = {{"tensor"}, {"dtype"}, {"shape"}, {"action"}, {"as"}, {"stored", true}, {"reason"}};
    table.more_rows = plan.tensors.size();
    table.row_at = [&](size_t i) -> TextTable::Row {
        const PlannedTensor& planned = plan.tensors[i];
        const Tensor& source = source_of(plan, planned);
        std::string as;
        if (planned.action == Action::quantize)
            as = planned.format;
        else if (planned.action == Action::cast)
            as = dtype::name(planned.outputs.front().dtype);
        return {source.name,
                std::string(dtype::name(source.dtype)),
                to_string(source.shape),
                std::string(name(planned.action)),
                as,
                planned.action == Action::remove ? "-" : text::bytes(stored_bytes(planned)),
                planned.reason};
    };
    return table.text(settings.width) + "\n" + plan_overview(plan);
}

std::string plan_overview(const Plan& plan) {
    return fmt::format("profile: {}\n", harmless(plan.profile)) + totals_text(plan);
}

Json plan_json(const Plan& plan) {
    Json whole;
    whole["input"] = os::utf8(plan.checkpoint->path());
    whole["output"] = os::utf8(plan.pipeline.output.path);
    whole["profile"] = plan.profile;
    Json tensors = Json::array();
    for (const PlannedTensor& planned : plan.tensors) {
        const Tensor& source = source_of(plan, planned);
        Json one;
        one["name"] = source.name;
        one["dtype"] = dtype::name(source.dtype);
        one["shape"] = source.shape;
        one["bytes"] = source.bytes;
        one["action"] = name(planned.action);
        if (planned.action == Action::quantize) one["format"] = planned.format;
        if (!planned.reason.empty()) one["reason"] = planned.reason;
        Json outputs = Json::array();
        for (const PlannedOutput& output : planned.outputs) {
            Json written;
            written["name"] = output.name;
            written["dtype"] = dtype::name(output.dtype);
            written["shape"] = output.shape;
            written["bytes"] = output.bytes;
            written["file"] = output.file;
            written["offset"] = output.offset;
            outputs.push_back(std::move(written));
        }
        one["outputs"] = std::move(outputs);
        tensors.push_back(std::move(one));
    }
    whole["tensors"] = std::move(tensors);
    const PlanTotals& totals = plan.totals;
    Json sums;
    sums["quantized"] = totals.quantized;
    sums["kept"] = totals.kept;
    sums["narrowed"] = totals.cast;
    sums["removed"] = totals.removed;
    sums["bytes_before"] = totals.bytes_before;
    sums["bytes_after"] = totals.bytes_after;
    sums["bf16_would_save"] = totals.bf16_would_save;
    sums["output_bytes"] = plan.output_bytes;
    sums["kept_by_reason"] = counted(totals.kept_by_reason);
    sums["remarks"] = counted(totals.remarks);
    sums["input_scales"]["carried_over"] = totals.scales_carried_over;
    sums["input_scales"]["measured"] = totals.scales_measured;
    sums["input_scales"]["ones"] = totals.scales_of_one;
    sums["input_scales"]["left_out"] = counted(totals.scales_left_out);
    sums["full_precision"]["carried_over"] = totals.full_precision_carried_over;
    sums["full_precision"]["left_out"] = counted(totals.full_precision_left_out);
    sums["not_learned"] = counted(totals.not_learned);
    whole["totals"] = std::move(sums);
    whole["warnings"] = plan.warnings;
    return whole;
}

}  // namespace halftone
