// What loaders will make of the output.

#include <algorithm>
#include <fmt/format.h>

#include "core/base/text.hpp"
#include "core/plan/planner.hpp"

namespace halftone {
namespace {

constexpr std::string_view most_common = "comfyui";  // of loaders; what it refuses is worth a word to anybody

// Whether the loader still finds out what to build, from the shapes that the format stores.
void judge_shapes(const Loader& loader, const FoundFamily& family, const std::string& layer,
                  const FormatPlan& plan, Judgment& judgment) {
    if (!family.family) return;
    const auto weight = std::ranges::find(plan.stored(), ht_role{HT_ROLE_WEIGHT}, &StoredTensor::role);
    if (weight == plan.stored().end()) return;
    const MatrixSource& source = plan.source();
    const Shape meant{source.rows, source.cols};
    const bool rows = weight->shape.size() != 2 || weight->shape[0] != meant[0],
               columns = weight->shape.size() != 2 || weight->shape[1] != meant[1];
    const std::string advice = "keep this layer by a [[rule]], or store it in 8 bits";
    if (columns && family.reads_columns(layer))
        judgment.refuse(shape_fault(loader, *family.family, true), advice);
    else if (rows && family.reads_rows(layer))
        judgment.refuse(shape_fault(loader, *family.family, false), advice);
    else if (plan.stored().size() > 1 && family.takes_no_companions(layer))
        judgment.refuse(companion_fault(loader, *family.family), "keep this layer by a [[rule]]");
}

}  // namespace

// Null where nothing is to be judged.
const Loader* Planner::loader_judged_for() const {
    const std::string& target = plan_.pipeline.output.target;
    const bool any = target == "any";
    if (any && dialect_ != HT_DIALECT_COMFY) return nullptr;
    const Loader* loader = loaders_.known(any ? most_common : std::string_view(target));
    return loader && loader->reads_layout(plan_.pipeline.output.layout) ? loader : nullptr;
}

void Planner::judge_for_loaders(const std::string& layer, const ResolvedTreatment& treatment,
                                const FormatPlan& plan) {
    const std::string& target = plan_.pipeline.output.target;
    const bool any = target == "any";
    const Loader* loader = loader_judged_for();
    if (!loader) return;
    const Json description = plan.description();
    const std::string label = dialect_ == HT_DIALECT_COMFY ? description.value("format", "") : "";
    const StoredAs stored{
        *treatment.format, treatment.options, plan, label, description, is_embedding(layer + ".weight")};
    Judgment judgment = judge(loaders_, *loader, stored);
    if (judgment.taken) judge_shapes(*loader, family_, layer, plan, judgment);
    if (judgment.taken) return;
    const std::string takers = takers_of(stored);
    LoaderWarning warning;
    if (!any) {
        warning.before = fmt::format("{} refuses {} (", target,
                                     label.empty() ? treatment.format->id() : "'" + label + "'");
        warning.after = "): " + judgment.reason + (judgment.advice.empty() ? "" : "; " + judgment.advice);
    } else if (takes_label(*loader, stored)) {
        warning.before = "mainline ComfyUI refuses ";
        warning.after = fmt::format(" labelled '{}': {}", label, judgment.reason);
    } else if (takers.empty()) {
        warning.after = fmt::format("no loader is known to take layers labelled '{}'", label);
    } else {
        warning.after =
            fmt::format("mainline ComfyUI refuses layers labelled '{}'; it is loaded by {}", label, takers);
    }
    auto known = std::ranges::find_if(loader_warnings_, [&](const LoaderWarning& one) {
        return one.before == warning.before && one.after == warning.after;
    });
    if (known == loader_warnings_.end()) known = loader_warnings_.insert(known, std::move(warning));
    ++known->matrices;
}

void Planner::add_loader_warnings() {
    for (const LoaderWarning& warning : loader_warnings_)
        plan_.warnings.push_back(warning.before.empty()
                                     ? warning.after
                                     : warning.before + text::plural(warning.matrices, "matrix", "matrices") +
                                           warning.after);
    if (unmeasured_ > 0)
        plan_.warnings.push_back(fmt::format("the input scales of {} are 1: no activations in {}",
                                             text::plural(unmeasured_, "matrix", "matrices"),
                                             os::utf8(plan_.pipeline.input.statistics.filename())));
    if (kind_ && plan_.totals.quantized > 0)
        plan_.warnings.push_back(fmt::format("the input is {}: {}", kind_->name, kind_->says));
    const Pipeline::Output& output = plan_.pipeline.output;
    const Loader* target = output.target == "any" ? nullptr : loaders_.known(output.target);
    if (!target) return;
    if (plan_.totals.quantized > 0 && !target->reads_layout(output.layout))
        plan_.warnings.push_back(fmt::format("{} does not read layout = \"{}\"; set [output] layout = \"{}\"",
                                             output.target, output.layout, target->layouts.front()));
    if (target->single_files && plan_.files.size() > 1)
        plan_.warnings.push_back(
            fmt::format("{} reads single files only, and the output has {}; leave out [output] shard_size",
                        output.target, plan_.files.size()));
}

}  // namespace halftone
