// Learned rounding on a device beside the CPU's: not the same bits, but the same quality, and what is handed
// over is what was judged.
#include <cmath>
#include <cstring>

#include "core/base/error.hpp"
#include "core/rounding/cpu_problem.hpp"
#include "core/rounding/device_problem.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/learn.hpp"
#include "core/rounding/minimize.hpp"
#include "tests/unit/device/on_device.hpp"

namespace halftone {
namespace {

using device_test::machine, device_test::random_matrix, device_test::registry;

struct Case {
    std::string format;
    GivenOptions options;
    uint64_t rows, cols;
};

class Learning {
  public:
    explicit Learning(const Case& of) : weights_(random_matrix(of.rows, of.cols, 3, 0.02f)) {
        const auto format = registry().format(of.format);
        const OptionValues values = OptionValues::resolve(format->library().options(), of.options, of.format);
        plan_ = format->prepare({.dtype = HT_DTYPE_F32,
                                 .shape = {of.rows, of.cols},
                                 .experts = 1,
                                 .rows = of.rows,
                                 .cols = of.cols},
                                values);
        grid_ = fitted_grid(*plan_, weights_);
    }

    RoundingTask task(const Objective& objective) const {
        RoundingTask task;
        task.format = plan_.get();
        task.grid = &grid_;
        task.weights = Matrix(weights_.rows(), weights_.cols());
        std::memcpy(task.weights.data(), weights_.data(), weights_.rows() * weights_.cols() * sizeof(float));
        task.objective = objective;
        task.judge.terms.push_back({1, objective});
        task.judge.squared_error_cap = 1.03;
        task.matrices = 4;
        return task;
    }
    RoundingResult on_cpu(const Optimizer& optimizer, const OptionValues& options,
                          const Objective& of) const {
        const auto problem = make_cpu_problem(task(of));
        return minimize(*problem, optimizer, options);
    }
    RoundingResult on_device(const Optimizer& optimizer, const OptionValues& options, const Objective& of,
                             bool trace = false) const {
        RoundingTask given = task(of);
        given.trace = trace;
        const auto problem = make_device_problem(given, machine().device, optimizer);
        return minimize(*problem, optimizer, options);
    }
    std::string why_not(const Optimizer& optimizer) const {
        return why_not_on_device(task({"squared", 0, std::make_shared<Factors>()}), optimizer);
    }

    const Matrix& weights() const { return weights_; }

  private:
    Matrix weights_;
    std::shared_ptr<const FormatPlan> plan_;
    Grid grid_;
};

std::vector<Case> cases() {
    std::vector<Case> all = {
        {"fp8", {}, 96, 160},
        {"int8", {{"scaling", {std::string("block"), ""}}, {"block_size", {int64_t{16}, ""}}}, 96, 160},
        {"int8", {{"scaling", {std::string("row"), ""}}}, 160, 96},
        {"nf4", {}, 128, 64},
        {"nvfp4", {}, 96, 160},
        {"mxfp8", {}, 100, 150},
        {"acme.thirds", {}, 64, 96},
    };
    const auto there = registry().ids(HT_KIND_FORMAT);
    std::erase_if(all, [&](const Case& one) { return std::ranges::count(there, one.format) == 0; });
    return all;
}

// Every kind of objective: found directions, none, one side, two given sides.
std::vector<Objective> objectives(uint64_t rows, uint64_t cols) {
    const auto given = [](const char* name, Matrix left, Matrix right) {
        auto factors = std::make_shared<Factors>();
        factors->left = std::move(left);
        factors->right = std::move(right);
        return Objective{name, 0, std::move(factors)};
    };
    const float by_row = 0.5f / std::sqrt(static_cast<float>(rows)),
                by_col = 0.5f / std::sqrt(static_cast<float>(cols));
    return {{"svd", 12, nullptr},
            given("squared", {}, {}),
            given("right", {}, random_matrix(cols, 20, 5, by_col)),
            given("left", random_matrix(20, rows, 6, by_row), {}),
            given("both", random_matrix(9, rows, 7, by_row), random_matrix(cols, 11, 8, by_col))};
}

OptionValues few_iterations(const Optimizer& optimizer) {
    GivenOptions given;
    const auto names = optimizer.library().options().names();
    const auto has = [&](const char* name) { return std::ranges::count(names, name) > 0; };
    if (has("iterations")) given["iterations"] = {int64_t{60}, ""};
    if (has("propose_every")) given["propose_every"] = {int64_t{20}, ""};
    return OptionValues::resolve(optimizer.library().options(), given, optimizer.id());
}

TEST(DeviceLearning, IsAsGoodAsOnTheCpuForEveryFormatObjectiveAndOptimizer) {
    NEEDS_DEVICE();
    ASSERT_FALSE(cases().empty());
    for (const std::string& id : registry().ids(HT_KIND_OPTIMIZER)) {
        const auto optimizer = registry().optimizer(id);
        const OptionValues options = few_iterations(*optimizer);
        for (const Case& one : cases()) {
            const Learning learning(one);
            ASSERT_EQ(learning.why_not(*optimizer), "");
            for (const Objective& objective : objectives(one.rows, one.cols)) {
                SCOPED_TRACE(id + " on " + one.format + " by " + objective.name);
                const RoundingResult cpu = learning.on_cpu(*optimizer, options, objective);
                const RoundingResult here = learning.on_device(*optimizer, options, objective);
                // Found directions are cut at a gap of no width in a random matrix: they differ a little.
                const double tolerance = objective.singular_directions ? 0.02 : 1e-5;
                ASSERT_NEAR(here.nearest.loss / cpu.nearest.loss, 1, tolerance);
                ASSERT_NEAR(here.nearest.squared_error / cpu.nearest.squared_error, 1, 1e-9);
                EXPECT_EQ(here.candidates, cpu.candidates);
                const double before = cpu.nearest.loss;
                EXPECT_NEAR(here.best.loss / before, cpu.best.loss / before,
                            0.05 * cpu.best.loss / before + (objective.singular_directions ? 0.04 : 0.002));
                EXPECT_EQ(here.codes.size(), cpu.codes.size());
            }
        }
    }
}

TEST(DeviceLearning, RepeatsItselfToTheBit) {
    NEEDS_DEVICE();
    for (const std::string& id : registry().ids(HT_KIND_OPTIMIZER)) {
        const auto optimizer = registry().optimizer(id);
        const Learning learning({"fp8", {}, 320, 512});
        const Objective objective{"svd", 40, nullptr};
        const RoundingResult first = learning.on_device(*optimizer, few_iterations(*optimizer), objective);
        const RoundingResult second = learning.on_device(*optimizer, few_iterations(*optimizer), objective);
        EXPECT_EQ(first.best.loss, second.best.loss) << id;
        ASSERT_EQ(first.codes.size(), second.codes.size());
        EXPECT_EQ(0, std::memcmp(first.codes.data(), second.codes.data(), first.codes.size())) << id;
    }
}

TEST(DeviceLearning, TracesWhatItDid) {
    NEEDS_DEVICE();
    const auto optimizer = registry().optimizer("integral");
    const Learning learning({"fp8", {}, 96, 160});
    const Objective objective{"svd", 12, nullptr};
    const auto options = few_iterations(*optimizer);
    const RoundingResult plain = learning.on_device(*optimizer, options, objective);
    const RoundingResult traced = learning.on_device(*optimizer, options, objective, true);
    EXPECT_EQ(plain.best.loss, traced.best.loss);
    ASSERT_GE(traced.trace.size(), 40u);
    double least = INFINITY;
    for (const TraceRow& row : traced.trace)
        if (row.contains("kept") && row.at("kept") != 0) least = row.at("stored_loss");
    EXPECT_DOUBLE_EQ(least, std::sqrt(traced.best.loss));
    EXPECT_EQ(traced.trace.front().at("codes_changed"), 0);
    EXPECT_GT(traced.trace.back().at("codes_changed"), 0);
}

TEST(DeviceLearning, FallsBackToTheCpuWithAReason) {
    NEEDS_DEVICE();
    const auto optimizer = registry().optimizer("integral");
    const Learning learning({"fp8", {}, 96, 160});
    RoundingTask task = learning.task({"svd", 12, nullptr});
    while (task.judge.terms.size() < HT_JUDGE_MOST_TERMS)
        task.judge.terms.push_back(task.judge.terms.front());  // more than a device's judge takes
    const Learned learned =
        learn_rounding(std::move(task), *optimizer, few_iterations(*optimizer), machine().device);
    EXPECT_NE(learned.why_on_cpu, "");
    EXPECT_TRUE(learned.result.improved);
}

}  // namespace
}  // namespace halftone
