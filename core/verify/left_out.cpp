#include "core/verify/left_out.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/plan/plan.hpp"

namespace halftone {

std::set<std::string> left_out_by_recipe(const Checkpoint& output, const Checkpoint& input,
                                         Registry& registry, std::string& problem) {
    std::set<std::string> names;
    const Metadata& metadata = output.metadata();
    const auto recipe = std::ranges::find(metadata, "halftone.recipe", &Metadata::value_type::first);
    if (recipe == metadata.end()) {
        problem = "there is no recipe that could say why";
        return names;
    }
    try {
        const auto path = [](const std::filesystem::path& at) {
            return text::toml_quoted(os::utf8(std::filesystem::absolute(at)));
        };
        const Plan plan = make_plan(
            parse_pipeline(recipe->second, "halftone.recipe", ".",
                           {{"input.path", path(input.path())}, {"output.path", path("out.safetensors")}}),
            registry);
        for (const PlannedTensor& planned : plan.tensors)
            if (planned.action == Action::remove)
                names.insert(plan.checkpoint->tensors()[planned.source].name);
    } catch (const Error& error) {
        problem = fmt::format("the recipe could not be followed: {}", error.what());
    }
    return names;
}

}  // namespace halftone
