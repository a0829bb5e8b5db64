#include "core/plan/planner.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/text.hpp"
#include "core/plan/recipe.hpp"
#include "plugins/call.hpp"
#include "plugins/layouts.hpp"

namespace halftone {
namespace {

Checkpoint open_input(const Pipeline::Input& input) {
    if (!std::filesystem::exists(input.path))
        throw Error(Exit::input, input.where,
                    fmt::format("cannot read '{}': No such file or directory", os::utf8(input.path)),
                    input.where.starts_with("--")
                        ? "a relative path on the command line starts at the working directory"
                        : "check [input] path; a relative one starts at the pipeline's folder");
    return Checkpoint::open(input.path);
}

PlanTotals::Counted most_frequent_first(const std::map<std::string, uint64_t>& counts) {
    PlanTotals::Counted result(counts.begin(), counts.end());
    std::ranges::stable_sort(result, std::ranges::greater{}, &PlanTotals::Counted::value_type::second);
    return result;
}

std::string listed(const std::vector<std::string>& names) {
    constexpr size_t shown = 2;
    std::string result;
    for (size_t i = 0; i < std::min(shown, names.size()); ++i)
        result += (i ? ", " : "") + text::printable(names[i]);
    return names.size() > shown ? result + fmt::format(" and {} more", names.size() - shown) : result;
}

}  // namespace

Planner::Planner(Pipeline pipeline, Registry& registry, const PlanKnowledge& knowledge)
    : registry_(registry), knowledge_(knowledge), learning_(pipeline), rules_(pipeline.rules) {
    plan_.checkpoint = std::make_shared<const Checkpoint>(open_input(pipeline.input));
    plan_.warnings = pipeline.warnings;
    std::ranges::copy(plan_.checkpoint->remarks(), std::back_inserter(plan_.warnings));
    plan_.pipeline = std::move(pipeline);
    effective_ = plan_.pipeline;
    dialect_ = dialect_of_layout(effective_.output.layout).value();
    loaders_ = Loaders::standard();
    const Pipeline::Output& output = effective_.output;
    if (output.target != "any") loaders_.find(output.target, output.target_where);
    families_ = Families::standard();
    if (const Loader* loader = loader_judged_for()) {
        family_ = families_.family_of(plan_.checkpoint->tensors(), loader->id);
        kind_ = families_.kind_of(plan_.checkpoint->tensors(), loader->id);
    }

    primary_ = resolve(effective_.quantize.treatment);
    Treatment embeddings{.format = effective_.quantize.embeddings, .optimizer = {}};
    embeddings_ = resolve(embeddings);
    effective_.quantize.embeddings = embeddings.format;
    for (Rule& rule : effective_.rules)
        by_rule_.push_back(rule.action == RuleAction::quantize ? resolve(rule.treatment)
                                                               : ResolvedTreatment{});
    if (effective_.fallback) fallback_ = resolve(*effective_.fallback);

    profiles_ = Profiles::choose(effective_.model, *plan_.checkpoint, registry_, plan_.warnings);
    effective_.model.profiles = profiles_.ids().empty() ? std::vector<std::string>{"none"} : profiles_.ids();
    plan_.profile = profiles_.summary();
    for (const std::string& id : profiles_.ids())
        plugins_used_.push_back(
            fmt::format("model {} {}", id, registry_.model(id)->library().descriptor().version));
    prefix_ = common_prefix(*plan_.checkpoint);
    file_markers_ = whole_file_markers(*plan_.checkpoint);
    recognition_ = std::make_unique<Recognition>(plan_.checkpoint, registry_);
    for (QuantizedLayer& layer : quantized_layers(*plan_.checkpoint)) {
        companions_before_.insert(layer.companions.begin(), layer.companions.end());
        quantized_before_.emplace(layer.name, std::move(layer));
    }
    file_in_full_precision_ = dialect_ == HT_DIALECT_LEGACY && whole_file_asks_for_full_precision();
}

PlannedTensor Planner::keep(uint32_t index, std::string reason, std::string reason_class) {
    const Tensor& source = tensor(index);
    ht_dtype as = source.dtype;
    const bool wide = source.dtype == HT_DTYPE_F32 || source.dtype == HT_DTYPE_F64;
    // Scales are float32 by contract with every loader, so what belongs to a quantized layer is never
    // touched.
    if (wide && !companions_before_.contains(source.name)) {
        const Kept kept = plan_.pipeline.output.kept;
        as = kept == Kept::bf16 ? HT_DTYPE_BF16 : kept == Kept::f16 ? HT_DTYPE_F16 : as;
    }
    PlannedTensor result;
    result.source = index;
    result.action = as == source.dtype ? Action::keep : Action::cast;
    result.reason_class = reason_class.empty() ? reason : std::move(reason_class);
    result.reason = std::move(reason);
    result.outputs.push_back(output_of_kept(source, as));
    return result;
}

PlannedTensor Planner::remove(uint32_t index, std::string reason) {
    const std::string& name = tensor(index).name;
    if (name.ends_with(".weight")) {
        const std::string layer(layer_name(name));
        changes_.touched.insert(layer);
        if (const auto found = quantized_before_.find(layer); found != quantized_before_.end())
            replaced_.insert(found->second.companions.begin(), found->second.companions.end());
    }
    PlannedTensor result;
    result.source = index;
    result.action = Action::remove;
    result.reason_class = reason;
    result.reason = std::move(reason);
    return result;
}

PlannedTensor Planner::decide(uint32_t index) {
    const Tensor& source = tensor(index);
    const os::Subject about(source.name);
    const std::string layer(layer_name(source.name));
    const int rule = rules_.first_match(source.name);
    const std::string by_rule =
        rule < 0
            ? ""
            : plan_.pipeline.rules[rule].name +
                  (plan_.pipeline.rules[rule].reason.empty() ? "" : ": " + plan_.pipeline.rules[rule].reason);
    if (rule >= 0 && plan_.pipeline.rules[rule].action == RuleAction::remove) return remove(index, by_rule);
    const Verdict verdict = profiles_.decide(source);
    if (rule < 0 && verdict.action == HT_ACTION_REMOVE) return remove(index, verdict.reason);
    if (companions_before_.contains(source.name)) return keep(index, "belongs to a quantized layer");
    if (rule >= 0 && plan_.pipeline.rules[rule].action == RuleAction::keep) return keep(index, by_rule);

    std::string reason;
    const ResolvedTreatment& treatment = wanted_treatment(source, rule, verdict, reason);
    if (source.name.ends_with(".weight") && quantized_before_.contains(layer))
        return treatment.format ? requantize(index, treatment, verdict.flags) : keep_quantized(index, layer);
    std::string obstacle = not_a_matrix(source);
    if (!obstacle.empty()) {
        const bool packed = source.dtype == HT_DTYPE_I8 || source.dtype == HT_DTYPE_U8;
        if (packed && source.shape.size() == 2 && source.name.ends_with(".weight"))
            unknown_layout_.push_back(source.name);
        return keep(index, std::move(obstacle));
    }
    return treatment.format ? quantize(index, treatment, verdict.flags) : keep(index, reason);
}

// What the pipeline and the profile want done with a matrix. Without a format it is kept, for the reason
// given.
const ResolvedTreatment& Planner::wanted_treatment(const Tensor& source, int rule, const Verdict& verdict,
                                                   std::string& reason) const {
    static const ResolvedTreatment nothing{};
    reason = "the pipeline says keep";
    if (rule >= 0) return by_rule_[static_cast<size_t>(rule)];
    if (prefix_ == "model.diffusion_model." && !source.name.starts_with(prefix_)) {
        reason = "outside the diffusion model";
        return nothing;
    }
    if (is_embedding(source.name)) {
        reason = "embedding";
        return embeddings_;
    }
    if (verdict.action == HT_ACTION_KEEP) {
        reason = verdict.reason;
        return fallback_ ? *fallback_ : nothing;
    }
    return primary_;
}

PlannedTensor Planner::quantize(uint32_t index, const ResolvedTreatment& treatment, uint32_t flags) {
    const Tensor& source = tensor(index);
    MatrixSource matrix;
    matrix.dtype = source.dtype;
    matrix.shape = source.shape;
    matrix.cols = source.shape.back();
    matrix.rows = source.shape[source.shape.size() - 2];
    if (is_expert_stack(source)) matrix.experts = source.shape.front();
    PlannedTensor result = quantize(index, std::move(matrix), treatment, flags, nullptr);
    if (result.action == Action::quantize && dtype::bits(source.dtype) == 8)
        eight_bit_.push_back(source.name);
    return result;
}

PlannedTensor Planner::quantize(uint32_t index, MatrixSource matrix, const ResolvedTreatment& treatment,
                                uint32_t flags, const StoredMatrix* stored) {
    const Tensor& source = tensor(index);
    if (knowledge_.nonfinite.contains(source.name)) return keep(index, "holds NaN or infinities");
    if (const auto known = knowledge_.refused.find(source.name); known != knowledge_.refused.end())
        return refused(index, treatment, known->second);
    const std::string layer(layer_name(source.name));
    matrix.dialect = dialect_;
    if (flags & HT_VERDICT_ROWS) matrix.wants |= HT_WANTS_ROWS;
    if (flags & HT_VERDICT_COLUMNS) matrix.wants |= HT_WANTS_COLUMNS;
    PlannedTensor result;
    result.source = index;
    result.action = Action::quantize;
    result.format = treatment.shown;
    try {
        result.plan = prepare(std::move(matrix), treatment, stored);
        ++uptake_[treatment.shown].taken;
    } catch (const Refusal& refusal) {
        return refused(index, treatment, refusal.what());
    } catch (Error& error) {
        throw Error(error.code(), source.name, error.what(), error.advice());
    }
    result.reason = result.plan->remark();
    MatrixOutputs outputs =
        outputs_of_matrix(layer, prefix_, *result.plan, dialect_, plan_.pipeline.output.metadata,
                          input_scale(layer, treatment, *result.plan, flags, stored));
    result.outputs = std::move(outputs.outputs);
    for (PlannedOutput& claim : new_file_claims(std::move(outputs.whole_file), layer))
        result.outputs.push_back(std::move(claim));
    changes_.touched.insert(layer);
    const Json description = result.plan->description();
    if (dialect_ == HT_DIALECT_COMFY && plan_.pipeline.output.metadata != MetadataForm::tensor &&
        !description.empty())
        changes_.written[layer] = description;
    judge_for_loaders(layer, treatment, *result.plan);
    learn(result, layer, treatment);
    return result;
}

PlannedTensor Planner::refused(uint32_t index, const ResolvedTreatment& treatment,
                               const std::string& reason) {
    Uptake& uptake = uptake_[treatment.shown];
    ++uptake.refused;
    ++uptake.reasons[reason];
    if (plan_.pipeline.quantize.on_refusal == OnRefusal::error)
        throw Error(Exit::usage, tensor(index).name,
                    fmt::format("{} refuses it: {}", treatment.format->library().name(), reason),
                    "give it another format with a [[rule]], or set [quantize] on_refusal = \"keep\"");
    return keep(index, fmt::format("{} refuses it: {}", treatment.format->id(), reason),
                fmt::format("refused by {}", treatment.format->id()));
}

void Planner::learn(PlannedTensor& planned, const std::string& layer, const ResolvedTreatment& treatment) {
    if (!treatment.optimizer) return;
    const MatrixSource& matrix = planned.plan->source();
    Learning::Answer answer =
        learning_.plan_for(layer, matrix.rows, matrix.cols, treatment.optimizer, treatment.optimizer_options);
    if (answer.plan) {
        planned.learning = std::make_shared<const PlannedLearning>(std::move(*answer.plan));
        planned.format += ", " + treatment.shown_optimizer;
    } else {
        planned.reason += (planned.reason.empty() ? "" : "; ") + answer.why_not;
        ++not_learned_[answer.why_not];
    }
}

// Markers for the whole file: the first layer that claims one writes it, equal claims of others merge.
std::vector<PlannedOutput> Planner::new_file_claims(std::vector<PlannedOutput> claims,
                                                    const std::string& layer) {
    std::vector<PlannedOutput> fresh;
    for (PlannedOutput& claim : claims) {
        const auto [before, is_new] = whole_file_.emplace(claim.name, std::pair(claim.dtype, claim.shape));
        if (is_new)
            fresh.push_back(std::move(claim));
        else if (before->second != std::pair(claim.dtype, claim.shape))
            throw Error(
                Exit::usage, layer,
                fmt::format("'{}' marks the whole file, and this layer needs {} {} where another needs {} {}",
                            text::printable(claim.name), dtype::name(claim.dtype), to_string(claim.shape),
                            dtype::name(before->second.first), to_string(before->second.second)),
                "give all layers of this output layout the same settings");
    }
    return fresh;
}

void Planner::count() {
    PlanTotals& totals = plan_.totals;
    std::map<std::string, uint64_t> reasons, remarks;
    for (const PlannedTensor& planned : plan_.tensors) {
        const Tensor& source = tensor(planned.source);
        uint64_t after = 0;
        for (const PlannedOutput& output : planned.outputs)
            after += output.bytes;
        totals.bytes_before += source.bytes;
        totals.bytes_after += after;
        switch (planned.action) {
            case Action::quantize:
                ++totals.quantized;
                if (!planned.plan->remark().empty()) ++remarks[planned.plan->remark()];
                totals.quantized_before += source.bytes;
                totals.quantized_after += after;
                totals.elements_quantized += element_count(source.shape).value_or(0);
                break;
            case Action::keep:
                ++totals.kept;
                ++reasons[planned.reason_class];
                if (dtype::is_float(source.dtype) && dtype::bits(source.dtype) > 16 &&
                    !companions_before_.contains(source.name))
                    totals.bf16_would_save += source.bytes - source.bytes * 16 / dtype::bits(source.dtype);
                break;
            case Action::cast:
                ++totals.cast;
                break;
            case Action::remove:
                ++totals.removed;
                break;
        }
    }
    totals.kept_by_reason = most_frequent_first(reasons);
    totals.remarks = most_frequent_first(remarks);
    totals.scales_left_out = most_frequent_first(scales_left_out_);
    totals.full_precision_left_out = most_frequent_first(full_precision_left_out_);
    totals.not_learned = most_frequent_first(not_learned_);
}

void Planner::add_collected_warnings() {
    if (!eight_bit_.empty())
        plan_.warnings.push_back(
            fmt::format("source already 8-bit: {} quantized from values that have lost precision before",
                        listed(eight_bit_)));
    if (!requantized_.empty())
        plan_.warnings.push_back(fmt::format("already quantized, and quantized anew from what that left: {}",
                                             listed(requantized_)));
    if (!kept_quantized_.empty())
        plan_.warnings.push_back(
            fmt::format("already quantized, and left as they are: {}", listed(kept_quantized_)));
    if (!unknown_layout_.empty())
        plan_.warnings.push_back(
            fmt::format("integers of no recognizable layout, kept as they are: {}", listed(unknown_layout_)));
    if (full_precision_nowhere_ > 0)
        plan_.warnings.push_back(fmt::format(
            "full_precision_matrix_mult is lost for {}: layout = \"{}\" has no place for it",
            text::plural(full_precision_nowhere_, "matrix", "matrices"), plan_.pipeline.output.layout));
    // One is a matrix that does not fit, several are likely a mistake in the options.
    for (const auto& [format, uptake] : uptake_) {
        if (uptake.taken > 0 || (uptake.refused < 2 && plan_.totals.quantized > 0)) continue;
        const auto& [reason, count] =
            *std::ranges::max_element(uptake.reasons, {}, [](const auto& one) { return one.second; });
        plan_.warnings.push_back(fmt::format(
            "{} takes none of {}: {}{}", format, text::plural(uptake.refused, "matrix", "matrices"), reason,
            count < uptake.refused ? fmt::format(" (of {} of them)", count) : ""));
    }
    for (size_t unused : rules_.unused()) {
        const Rule& rule = plan_.pipeline.rules[unused];
        plan_.warnings.push_back(fmt::format("{}: {} matches no tensor{}", rule.where, rule.name,
                                             hint_for_unmatched(rule, *plan_.checkpoint)));
    }
}

void Planner::lay_out_files() {
    std::vector<Metadata> of_files;
    for (const CheckpointFile& file : plan_.checkpoint->files())
        of_files.push_back(file.metadata);
    Metadata metadata = output_metadata(plan_.checkpoint->metadata(), of_files, changes_);
    const bool says_format =
        std::ranges::find(metadata, "format", &Metadata::value_type::first) != metadata.end();
    if (dialect_ == HT_DIALECT_BITSANDBYTES && !says_format) set_metadata(metadata, "format", "pt");
    if (plan_.pipeline.output.recipe)
        plan_.recipe = add_recipe(metadata, effective_, plugins_used_, *plan_.checkpoint, plan_.totals);

    halftone::lay_out_files(plan_, metadata);
}

Plan Planner::plan() {
    const auto n = static_cast<uint32_t>(plan_.checkpoint->tensors().size());
    plan_.tensors.reserve(n);
    for (uint32_t i = 0; i < n; ++i)
        plan_.tensors.push_back(decide(i));
    check_kept_layouts();
    drop_legacy_leftovers();
    drop_what_is_replaced();
    count();
    add_collected_warnings();
    lay_out_files();
    add_loader_warnings();
    plan_.read_besides = learning_.files();
    return std::move(plan_);
}

Plan make_plan(Pipeline pipeline, Registry& registry, const PlanKnowledge& knowledge) {
    return Planner(std::move(pipeline), registry, knowledge).plan();
}

}  // namespace halftone
