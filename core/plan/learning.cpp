#include "core/plan/learning.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/plan/statistics.hpp"
#include "core/tensor/rank_rule.hpp"

namespace halftone {

Learning::Learning(const Pipeline& pipeline)
    : rounding_(pipeline.rounding),
      statistics_(pipeline.input.statistics),
      statistics_where_(pipeline.input.statistics_where) {}

std::shared_ptr<const Checkpoint> Learning::opened(const std::filesystem::path& path,
                                                   const std::string& where) {
    auto& file = files_[path];
    if (file) return file;
    if (!std::filesystem::exists(path))
        throw Error(Exit::input, where,
                    fmt::format("cannot read '{}': No such file or directory", os::utf8(path)),
                    "a relative path starts at the pipeline's folder");
    return file = std::make_shared<const Checkpoint>(Checkpoint::open(path));
}

std::vector<std::shared_ptr<const Checkpoint>> Learning::files() const {
    std::vector<std::shared_ptr<const Checkpoint>> result;
    for (const auto& [path, file] : files_)
        if (file) result.push_back(file);
    return result;
}

std::optional<PlannedObjective> Learning::objective(const ObjectiveChoice& choice, const std::string& layer,
                                                    uint64_t rows, uint64_t cols, const std::string& where,
                                                    std::string& why_not) {
    PlannedObjective result;
    result.name = choice.name;
    if (choice.name == "squared") return result;
    if (choice.name == "svd") {
        result.singular_directions =
            RankRule{rounding_.top_p, rounding_.min_rank, rounding_.max_rank}.rank(rows, cols);
        return result;
    }
    if (choice.name == "activation") {
        if (statistics_.empty())
            throw Error(Exit::usage, where, "the objective 'activation' needs activations",
                        "name a file of them: [input] statistics");
        result.file = opened(statistics_, statistics_where_);
        result.inputs = find_inputs(*result.file, layer, cols);
        if (!result.inputs)
            result.second_moment = find_matrix(*result.file, layer + ".second_moment", cols, cols);
        if (result.inputs || result.second_moment) return result;
        why_not = "no activations in " + os::utf8(statistics_.filename());
        return std::nullopt;
    }
    result.name = os::utf8(choice.file);
    result.file = opened(choice.file, where);
    result.left = find_matrix(*result.file, layer + ".left", 0, rows);
    result.right = find_matrix(*result.file, layer + ".right", cols, 0);
    if (result.left || result.right) return result;
    why_not = "no factors in " + os::utf8(choice.file.filename());
    return std::nullopt;
}

Learning::Inputs Learning::inputs_of(const std::string& layer, uint64_t cols) {
    if (statistics_.empty()) return {};
    const std::shared_ptr<const Checkpoint> file = opened(statistics_, statistics_where_);
    return {file, find_inputs(*file, layer, cols)};
}

Learning::Answer Learning::plan_for(const std::string& layer, uint64_t rows, uint64_t cols,
                                    const std::shared_ptr<const Optimizer>& optimizer,
                                    const OptionValues& options) {
    if (rows != 0 && cols > rounding_.max_elements / rows)
        return {{}, fmt::format("not learned: more than {} elements", rounding_.max_elements)};
    PlannedLearning result;
    result.optimizer = optimizer;
    result.options = options;
    result.matrices = optimizer->matrices(options);
    result.seed = rounding_.seed;
    std::string why_not;
    auto minimized = objective(rounding_.objective, layer, rows, cols, rounding_.where, why_not);
    if (!minimized) return {{}, "not learned: " + why_not};
    result.objective = std::move(*minimized);
    if (rounding_.judge.empty()) {
        result.judge.emplace_back(1, result.objective);
        // What is known of the activations may well be worth a larger error elsewhere.
        if (!result.objective.file) result.squared_error_cap = rounding_.squared_error_cap;
    }
    for (const auto& [weight, choice] : rounding_.judge) {
        auto judge = objective(choice, layer, rows, cols, rounding_.judge_where, why_not);
        if (!judge) return {{}, "not learned: " + why_not};
        result.judge.emplace_back(weight, std::move(*judge));
    }
    return {std::move(result), {}};
}

}  // namespace halftone
