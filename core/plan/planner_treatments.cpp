// What the pipeline says of matrices, with plugins loaded and their options checked.

#include <algorithm>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/schema.hpp"
#include "core/plan/planner.hpp"
#include "core/plan/recipe.hpp"

namespace halftone {

// An option that the format does not know may be another's: of the optimizer beside it, or the pipeline's
// own.
void Planner::refuse_misplaced_options(const Treatment& treatment, const PluginLibrary& format) {
    const std::vector<std::string> known = format.options().names();
    for (const auto& [name, given] : treatment.format.options) {
        if (std::ranges::find(known, name) != known.end()) continue;
        const std::string shown = text::printable(name, 60);
        const std::string problem = fmt::format("'{}' is no option of {}", shown, format.name());
        if (const std::string homes = schema::sections_with(name); !homes.empty())
            throw Error(Exit::usage, given.where, problem, fmt::format("it belongs in {}", homes));
        if (treatment.optimizer.id.empty() || treatment.optimizer.id == "none") continue;
        const PluginLibrary& optimizer =
            registry_.optimizer(treatment.optimizer.id, treatment.optimizer.where)->library();
        const std::vector<std::string> of_optimizer = optimizer.options().names();
        if (std::ranges::find(of_optimizer, name) != of_optimizer.end())
            throw Error(
                Exit::usage, given.where, fmt::format("{}, but of {}", problem, optimizer.name()),
                fmt::format("options of an optimizer stand in [optimizer.{}]", treatment.optimizer.id));
    }
}

ResolvedTreatment Planner::resolve(Treatment& treatment) {
    ResolvedTreatment result;
    result.full_precision_mm = treatment.full_precision_matrix_mult;
    result.input_scale = treatment.input_scale;
    if (treatment.format.id.empty() || treatment.format.id == "keep") return result;
    result.format = registry_.format(treatment.format.id, treatment.format.where);
    const PluginLibrary& library = result.format->library();
    refuse_misplaced_options(treatment, library);
    result.options = OptionValues::resolve(library.options(), treatment.format.options, library.name());
    const std::string options = result.options.summary();
    result.shown = treatment.format.id + (options.empty() ? "" : " " + options);
    treatment.format.options = explicit_options(library.options(), result.options);
    note_use("format", treatment.format.id, library);
    resolve_optimizer(treatment.optimizer, result);
    return result;
}

void Planner::resolve_optimizer(PluginChoice& choice, ResolvedTreatment& result) {
    if (choice.id.empty() || choice.id == "none") return;
    result.optimizer = registry_.optimizer(choice.id, choice.where);
    const PluginLibrary& library = result.optimizer->library();
    result.optimizer_options = OptionValues::resolve(library.options(), choice.options, library.name());
    choice.options = explicit_options(library.options(), result.optimizer_options);
    const std::string options = result.optimizer_options.summary();
    result.shown_optimizer = choice.id + (options.empty() ? "" : " " + options);
    note_use("optimizer", choice.id, library);
}

void Planner::note_use(const std::string& kind, const std::string& id, const PluginLibrary& library) {
    const std::string used = fmt::format("{} {} {}", kind, id, library.descriptor().version);
    if (std::ranges::find(plugins_used_, used) == plugins_used_.end()) plugins_used_.push_back(used);
}

}  // namespace halftone
