// What matrices get beside their numbers: full precision and input scales, as the pipeline says or as the
// source has them.

#include <algorithm>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json_text.hpp"
#include "core/base/text.hpp"
#include "core/plan/inherited.hpp"
#include "core/plan/marker_json.hpp"
#include "core/plan/planner.hpp"
#include "plugins/call.hpp"
#include "plugins/wants.hpp"

namespace halftone {
namespace {

constexpr const char* said_no = "the pipeline says input_scale = \"never\"";

bool configuration_asks_for_full_precision(const std::string& configuration) {
    const SortedJson parsed = parse_sorted_json(configuration);
    return parsed.is_object() && asks_for_full_precision(parsed);
}

bool same_tensors(const FormatPlan& a, const FormatPlan& b) {
    return std::ranges::equal(a.stored(), b.stored(), [](const StoredTensor& one, const StoredTensor& other) {
        return one.name == other.name && one.dtype == other.dtype && one.shape == other.shape;
    });
}

}  // namespace

// In layouts that mark the whole file it holds for all layers or for none.
bool Planner::whole_file_asks_for_full_precision() const {
    const auto marks_it = [&](const std::string& marker) {
        return element_count(plan_.checkpoint->find(marker)->shape) == 2;
    };
    return std::ranges::any_of(file_markers_, marks_it) ||
           std::ranges::any_of(quantized_before_, [](const auto& layer) {
               return configuration_asks_for_full_precision(layer.second.configuration);
           });
}

bool Planner::has_place_for_full_precision(const FormatPlan& plan, const ResolvedTreatment& treatment) const {
    if (dialect_ == HT_DIALECT_COMFY) return true;  // in the description; plain tensors need none
    MatrixSource without = plan.source();
    without.wants &= ~uint32_t{HT_WANTS_FULL_PRECISION_MM};
    try {
        return !same_tensors(plan, *treatment.format->prepare(without, treatment.options));
    } catch (const Refusal&) {
        return true;
    }
}

// The plan of a matrix, in full precision if that is asked for or, without a word of the pipeline, if the
// source has it and the format can keep it.
std::shared_ptr<const FormatPlan> Planner::prepare(MatrixSource matrix, const ResolvedTreatment& treatment,
                                                   const StoredMatrix* stored) {
    const bool had_it = stored && (stored->plan->source().wants & HT_WANTS_FULL_PRECISION_MM) != 0;
    const bool inherits = !treatment.full_precision_mm && (had_it || file_in_full_precision_);
    if (treatment.full_precision_mm.value_or(inherits)) matrix.wants |= HT_WANTS_FULL_PRECISION_MM;
    const auto prepared = [&] {
        std::shared_ptr<const FormatPlan> plan = treatment.format->prepare(matrix, treatment.options);
        if (const std::string lost = unkept_wants(*plan); !lost.empty()) throw Refusal(lost);
        return plan;
    };
    std::string lost;  // why the plan is without what the layer had
    if (had_it && treatment.full_precision_mm == false)
        lost = "the pipeline says full_precision_matrix_mult = false";
    std::shared_ptr<const FormatPlan> plan;
    try {
        plan = prepared();
    } catch (const Refusal& refusal) {
        if (!inherits) throw;
        matrix.wants &= ~uint32_t{HT_WANTS_FULL_PRECISION_MM};
        lost = refusal.what();
        plan = prepared();
    }
    if ((matrix.wants & HT_WANTS_FULL_PRECISION_MM) && !has_place_for_full_precision(*plan, treatment)) {
        lost = fmt::format("the {} layout has no place for it with {}", plan_.pipeline.output.layout,
                           plan->plugin());
        if (!inherits) ++full_precision_nowhere_;
    } else if (had_it && lost.empty()) {
        ++plan_.totals.full_precision_carried_over;
    }
    if (had_it && !lost.empty()) ++full_precision_left_out_[lost];
    return plan;
}

std::optional<MeasuredInputs> Planner::input_scale(const std::string& layer,
                                                   const ResolvedTreatment& treatment, const FormatPlan& plan,
                                                   uint32_t flags, const StoredMatrix* stored) {
    const InheritedScale before = inherited_scale(*plan_.checkpoint, layer, stored);
    std::string why_not;
    std::optional<float> carried = scale_for(plan, before, why_not);
    const auto leave_out = [&](const std::string& reason) {
        carried.reset();
        why_not = reason;
    };
    if (carried && treatment.input_scale == InputScale::never) leave_out(said_no);
    const int32_t may = plan.facts().input_scale;
    const bool of_stack = plan.source().experts > 1;  // for these loaders look for none, unless they need one
    if (carried && of_stack && may != HT_INPUT_SCALE_REQUIRED)
        leave_out("loaders read none for a stack of experts");

    const bool wanted =
        carried || treatment.input_scale == InputScale::always ||
        (treatment.input_scale == InputScale::automatic && (flags & HT_VERDICT_INPUT_SCALE) != 0);
    std::optional<MeasuredInputs> result;
    if (may == HT_INPUT_SCALE_REQUIRED || (may == HT_INPUT_SCALE_ALLOWED && wanted && !of_stack)) {
        result.emplace();
        const float most = plan.facts().activation_max;
        const bool measurable = most > 0 && !plan_.pipeline.input.statistics.empty();
        const Learning::Inputs inputs =
            measurable ? learning_.inputs_of(layer, plan.source().cols) : Learning::Inputs();
        if (inputs.rows) {
            *result = {inputs.file, inputs.rows, most};
            ++plan_.totals.scales_measured;
            if (carried) leave_out("it is measured again on [input] statistics");
        } else if (carried) {
            result->otherwise = *carried;
            ++plan_.totals.scales_carried_over;
        } else {
            if (measurable) ++unmeasured_;
            ++plan_.totals.scales_of_one;
        }
    }
    const bool stays = result && !result->inputs && result->otherwise == before.value;
    if (before.there && !why_not.empty() && !stays) ++scales_left_out_[why_not];
    return result;
}

}  // namespace halftone
