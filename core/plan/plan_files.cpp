#include "core/plan/plan_files.hpp"

#include <algorithm>
#include <iterator>

#include "core/base/os/process.hpp"
#include "core/checkpoint/output_names.hpp"
#include "core/plan/families.hpp"
#include "core/plan/loaders.hpp"

namespace halftone {

std::vector<std::filesystem::path> files_read(const Plan& plan) {
    const Pipeline& pipeline = plan.pipeline;
    std::vector<std::filesystem::path> files = plan.checkpoint->sources();
    for (const std::shared_ptr<const Checkpoint>& checkpoint : plan.read_besides)
        std::ranges::copy(checkpoint->sources(), std::back_inserter(files));
    // Also what no layer needed this time.
    files.push_back(pipeline.input.statistics);
    files.push_back(pipeline.rounding.objective.file);
    for (const Pipeline::Rounding::Term& term : pipeline.rounding.judge)
        files.push_back(term.objective.file);
    files.emplace_back(std::u8string(pipeline.where.begin(), pipeline.where.end()));
    files.push_back(Loaders::installed_file());
    files.push_back(Families::installed_file());
    if (const std::filesystem::path folder = os::user_config_folder(); !folder.empty())
        for (const char* const own : {"loaders.toml", "families.toml"})
            files.push_back(folder / "halftone" / own);
    std::erase_if(files, [](const std::filesystem::path& file) { return file.empty(); });
    return files;
}

std::vector<std::filesystem::path> output_files(const Plan& plan) {
    return names_of_output(plan.pipeline.output.path, plan.files.size());
}

}  // namespace halftone
