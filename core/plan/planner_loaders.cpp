// What loaders will make of the output.

#include <algorithm>
#include <fmt/format.h>

#include "core/base/text.hpp"
#include "core/plan/planner.hpp"

namespace halftone {
namespace {

constexpr std::string_view most_common = "comfyui";  // of loaders; what it refuses is worth a word to anybody

}  // namespace

void Planner::judge_for_loaders(const std::string& layer, const ResolvedTreatment& treatment,
                                const FormatPlan& plan) {
    const std::string& target = plan_.pipeline.output.target;
    const bool any = target == "any";
    if (any && dialect_ != HT_DIALECT_COMFY) return;
    const Loader* loader = loaders_.known(any ? most_common : std::string_view(target));
    if (!loader || !loader->reads_layout(plan_.pipeline.output.layout)) return;
    const Json description = plan.description();
    const std::string label = dialect_ == HT_DIALECT_COMFY ? description.value("format", "") : "";
    const StoredAs stored{
        *treatment.format, treatment.options, plan, label, description, is_embedding(layer + ".weight")};
    const Judgment judgment = judge(loaders_, *loader, stored);
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
