#pragma once

#include <memory>
#include <random>
#include <string>

#include "core/base/log.hpp"
#include "core/linalg/svd.hpp"
#include "core/rounding/cpu_problem.hpp"
#include "core/rounding/fit.hpp"
#include "plugins/registry.hpp"

namespace halftone::rounding_test {

inline Registry& registry() {
    static Log log{Log::Settings{}};
    static Registry registry(
        [] {
            PluginFolders folders;
            folders.bundled = HALFTONE_BUNDLED_PLUGINS;
            return folders;
        }(),
        std::make_shared<PluginHost>(log, HT_CPU_BASELINE));
    return registry;
}

inline Matrix random_matrix(uint64_t rows, uint64_t cols, uint32_t seed, float size = 0.02f) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, size);
    Matrix result(rows, cols);
    for (uint64_t i = 0; i < rows * cols; ++i)
        result.data()[i] = normal(random);
    return result;
}

inline Matrix copy_of(ConstMatrixView from) {
    Matrix result(from.rows, from.cols);
    for (uint64_t i = 0; i < from.rows; ++i)
        std::copy_n(from.row(i), from.cols, result.view().row(i));
    return result;
}

inline OptionValues options_for(const PluginLibrary& library, const GivenOptions& given = {}) {
    return OptionValues::resolve(library.options(), given, library.name());
}

// A format's plan and fitted grid for a matrix.
struct Stored {
    std::shared_ptr<const FormatPlan> plan;
    Grid grid;

    explicit Stored(const Matrix& weights, const std::string& format = "fp8",
                    const GivenOptions& given = {}) {
        const auto plugin = registry().format(format);
        MatrixSource source;
        source.dtype = HT_DTYPE_F32;
        source.shape = {weights.rows(), weights.cols()};
        source.rows = weights.rows();
        source.cols = weights.cols();
        plan = plugin->prepare(source, options_for(plugin->library(), given));
        grid = fitted_grid(*plan, weights);
    }
};

inline Objective svd_objective(uint64_t directions) {
    return {"svd", directions, nullptr};
}

inline Objective objective_of(std::string name, Matrix left, Matrix right, bool orthonormal) {
    auto factors = std::make_shared<Factors>();
    factors->left = std::move(left);
    factors->right = std::move(right);
    factors->orthonormal = orthonormal;
    return {std::move(name), 0, std::move(factors)};
}

inline RoundingTask task_for(const Stored& stored, const Matrix& weights, Objective objective,
                             uint32_t matrices = 4) {
    RoundingTask task;
    task.format = stored.plan.get();
    task.grid = &stored.grid;
    task.weights = copy_of(weights);
    task.judge.terms.push_back({1, objective});
    task.objective = std::move(objective);
    task.matrices = matrices;
    return task;
}

}  // namespace halftone::rounding_test
