#include <cstring>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/rounding/minimize.hpp"
#include "core/rounding/views.hpp"
#include "optimizers/original/schedule.hpp"
#include "tests/unit/rounding/support.hpp"

namespace halftone::rounding_test {
namespace {

GivenOptions whole(const std::string& name, int64_t value) {
    return {{name, {value, "test"}}};
}

RoundingResult run(const std::string& optimizer, RoundingTask task, const GivenOptions& given = {}) {
    const auto plugin = registry().optimizer(optimizer);
    const OptionValues options = options_for(plugin->library(), given);
    task.matrices = plugin->matrices(options);
    const auto problem = make_cpu_problem(std::move(task));
    return minimize(*problem, *plugin, options);
}

// Matrices of golden/rounding.safetensors.
class Golden {
  public:
    Golden() : file_(Checkpoint::open(std::string(HALFTONE_GOLDEN) + "/rounding.safetensors")) {}

    std::vector<std::byte> bytes(const std::string& name) const {
        for (const Tensor& tensor : file_.tensors())
            if (tensor.name == name) {
                std::vector<std::byte> result(tensor.bytes);
                file_.read(tensor, 0, result);
                return result;
            }
        throw std::runtime_error("no " + name);
    }
    Matrix matrix(const std::string& name, uint64_t slice = 0) const {
        for (const Tensor& tensor : file_.tensors())
            if (tensor.name == name) {
                const size_t n = tensor.shape.size();
                Matrix result(tensor.shape[n - 2], tensor.shape[n - 1]);
                const std::vector<std::byte> all = bytes(name);
                const uint64_t size = result.rows() * result.cols() * sizeof(float);
                std::memcpy(result.data(), all.data() + slice * size, size);
                return result;
            }
        throw std::runtime_error("no " + name);
    }

  private:
    Checkpoint file_;
};

double share_differing(const AlignedBytes& a, const std::vector<std::byte>& b) {
    EXPECT_EQ(a.size(), b.size());
    size_t n = 0;
    for (size_t i = 0; i < b.size(); ++i)
        n += a.data()[i] != b[i];
    return static_cast<double>(n) / static_cast<double>(b.size());
}

// The plain loop, every step taken, in PyTorch: see tests/interop/make_rounding_golden.py.
TEST(Original, StoresWhatThePlainLoopStores) {
    const Golden golden;
    for (const std::string name : {"wide", "tall", "square"})
        for (const bool collapses : {true, false}) {
            const std::string at = "original." + name + ".";
            const Matrix weights = golden.matrix(at + "weight");
            const Stored stored(weights);
            const RoundingResult result =
                run("original", task_for(stored, weights,
                                         objective_of("golden", golden.matrix(at + "left"),
                                                      golden.matrix(at + "right"), collapses)));
            EXPECT_TRUE(result.improved) << name;
            EXPECT_LE(share_differing(result.codes, golden.bytes(at + "codes")), 1e-3) << name << collapses;
        }
}

TEST(Original, FollowsTheWorkedExampleOfItsSchedule) {
    using original::Schedule;
    const double rates[] = {0.00959179375, 0.01139025508, 0.01027970521, 0.01220714993,
                            0.01101695282, 0.01308263147, 0.01180707490, 0.01065588510};
    const double losses[] = {-0.00745,       0.00214179375,   -0.00924846133, 0.00103124388,
                             -0.01117590605, -0.000158953239, 0.01292367823,  0.00111660333};
    original::Settings settings;
    settings.square = true;
    Schedule schedule(settings);
    double loss = -0.00745, best = 0;
    for (int i = 0; i < 8; ++i) {
        EXPECT_NEAR(loss, losses[i], 1e-10) << i;
        if (schedule.look(std::fabs(loss))) best = loss;
        EXPECT_NEAR(schedule.learning_rate(), rates[i], 1e-10) << i;
        loss -= schedule.learning_rate() * (loss > 0 ? 1 : -1);
    }
    EXPECT_NEAR(best, losses[5], 1e-10);
}

// Notes what an optimizer proposes in steps of the code.
class Watching : public Problem {
  public:
    explicit Watching(Problem& watched) : p_(watched) {}
    Shape shape() const override { return p_.shape(); }
    ht_mat mat(uint64_t rows, uint64_t cols) override { return p_.mat(rows, cols); }
    ht_num num(double initial) override { return p_.num(initial); }
    void gemm(ht_num alpha, ht_mat a, bool ta, ht_mat b, bool tb, ht_num beta, ht_mat c) override {
        p_.gemm(alpha, a, ta, b, tb, beta, c);
    }
    void factor(int32_t what, ht_mat a, ht_mat out) override { p_.factor(what, a, out); }
    void copy(ht_mat to, ht_mat from) override { p_.copy(to, from); }
    void project(ht_mat a, ht_space space, ht_mat p, ht_num norm) override {
        look(a);
        p_.project(a, space, p, norm);
    }
    void project_stored(ht_mat a, ht_space space, ht_mat p, ht_num norm) override {
        p_.project_stored(a, space, p, norm);
    }
    void lift_add(ht_mat to, ht_num alpha, ht_mat p) override { p_.lift_add(to, alpha, p); }
    void apply(const ht_op& op, const std::vector<ht_mat>& mats, const std::vector<ht_num>& nums,
               ht_mat p) override {
        p_.apply(op, mats, nums, p);
    }
    void propose(ht_mat a, ht_space space) override {
        if (space == HT_SPACE_STEPS) look(a);
        p_.propose(a, space);
    }
    void refit(ht_mat a) override { p_.refit(a); }
    void set(ht_num to, double value) override { p_.set(to, value); }
    double read(ht_num from) override { return p_.read(from); }
    bool stop() override { return p_.stop(); }
    void stop_when(ht_num flag) override { p_.stop_when(flag); }
    void trace(std::string_view name, ht_num value) override { p_.trace(name, value); }
    RoundingResult finish() override { return p_.finish(); }

    std::vector<Matrix> seen;

  private:
    static Matrix*& target() {
        static Matrix* at = nullptr;
        return at;
    }
    static void take(const ht_tile* tile) noexcept {
        for (uint64_t i = 0; i < tile->rows; ++i)
            std::memcpy(target()->view().row(tile->row + i) + tile->col,
                        tile->mats[0] + static_cast<int64_t>(i) * tile->strides[0],
                        tile->cols * sizeof(float));
    }
    void look(ht_mat a) {
        static constexpr ht_op take_op{sizeof(ht_op), HT_OP_ELEMENT, 0, 0, "take", take};
        Matrix now(shape().rows, shape().cols);
        target() = &now;
        p_.apply(take_op, {a}, {}, 0);
        seen.push_back(std::move(now));
    }

    Problem& p_;
};

std::vector<Matrix> deltas_of_adamw(const Stored& stored, const Matrix& weights, Objective objective,
                                    int64_t iterations, double learning_rate) {
    const auto plugin = registry().optimizer("adamw");
    GivenOptions given = whole("iterations", iterations);
    given["learning_rate"] = {learning_rate, "test"};
    given["propose_every"] = {int64_t{10000000}, "test"};
    const OptionValues options = options_for(plugin->library(), given);
    const auto problem = make_cpu_problem(task_for(stored, weights, std::move(objective)));
    Watching watching(*problem);
    minimize(watching, *plugin, options);
    return std::move(watching.seen);  // [t] after t steps
}

TEST(AdamW, TakesTheStepsOfPyTorch) {
    const Golden golden;
    const Matrix weights = golden.matrix("adamw.weight");
    const Stored stored(weights);
    const std::vector<Matrix> deltas = deltas_of_adamw(
        stored, weights,
        objective_of("golden", golden.matrix("adamw.left"), golden.matrix("adamw.right"), true), 200, 1e-3);
    ASSERT_EQ(deltas.size(), 201u);
    const std::vector<std::byte> bytes = golden.bytes("adamw.steps");
    for (size_t i = 0; i < bytes.size() / sizeof(int64_t); ++i) {
        int64_t step;
        std::memcpy(&step, bytes.data() + i * sizeof step, sizeof step);
        const Matrix expected = golden.matrix("adamw.deltas", i);
        const Matrix& mine = deltas.at(static_cast<size_t>(step));
        double worst = 0, largest = 0, sum = 0;
        const uint64_t n = expected.rows() * expected.cols();
        for (uint64_t j = 0; j < n; ++j) {
            const double off =
                std::fabs(static_cast<double>(mine.data()[j]) - static_cast<double>(expected.data()[j]));
            sum += off;
            worst = std::max(worst, off);
            largest = std::max(largest, std::fabs(static_cast<double>(expected.data()[j])));
        }
        // Where a gradient is next to nothing, its rounding errors decide about a step that is nearly as long
        // as any other: such elements are few.
        EXPECT_LE(worst, 1e-3 * largest) << "after " << step << " steps";
        EXPECT_LE(sum / static_cast<double>(n), 2e-5 * largest) << "after " << step << " steps";
    }
}

TEST(AdamW, FollowsTheWorkedExample) {
    Matrix weights(2, 2), left(1, 2), right(2, 1);
    const float w[] = {0.875f, -0.33f, 0.121f, 0.047f};
    std::copy_n(w, 4, weights.data());
    left.data()[0] = right.data()[1] = 0.6f;
    left.data()[1] = right.data()[0] = 0.8f;
    const Stored stored(weights);
    const std::vector<Matrix> deltas =
        deltas_of_adamw(stored, weights, objective_of("given", std::move(left), std::move(right), true), 3,
                        8.077300000003e-3);
    const double expected[3][4] = {{0.00807721384, 0.00807718512, 0.00807723538, 0.00807721384},
                                   {0.0161537753, 0.0161537178, 0.0161538183, 0.0161537753},
                                   {0.0242296843, 0.0242295982, 0.0242297489, 0.0242296843}};
    for (size_t t = 1; t <= 3; ++t)
        for (size_t i = 0; i < 4; ++i)
            EXPECT_NEAR(deltas.at(t).data()[i], expected[t - 1][i], 1e-6 * expected[t - 1][i]) << t;
}

TEST(Integral, TakesMostOfTheProjectedErrorAway) {
    const Matrix weights = random_matrix(256, 384, 3);
    const Stored stored(weights);
    RoundingTask task = task_for(stored, weights, svd_objective(64));
    task.judge.squared_error_cap = 1.03;
    const RoundingResult result = run("integral", std::move(task));
    EXPECT_TRUE(result.improved);
    EXPECT_LT(std::sqrt(result.best.loss / result.nearest.loss), 0.4);
    EXPECT_LE(result.best.squared_error, 1.03 * result.nearest.squared_error);
}

// Every bundled optimizer on every bundled format, whatever the objective: never worse, and the bytes are
// those of the format.
TEST(EveryOptimizer, WorksOnEveryFormatAndObjective) {
    const Matrix weights = random_matrix(128, 256, 4);
    for (const std::string& format : registry().ids(HT_KIND_FORMAT))
        for (const std::string& optimizer : registry().ids(HT_KIND_OPTIMIZER)) {
            const Stored stored(weights, format);
            const bool rotates = (stored.plan->facts().flags & HT_FACT_ROTATES) != 0;
            if (rotates) continue;  // the weights here are in no such basis
            const Objective objectives[] = {
                svd_objective(26), objective_of("squared", {}, {}, true),
                objective_of("inputs", {}, random_matrix(256, 40, 5, 0.05f), false),
                objective_of("one-sided", copy_of(truncated_svd(weights, 20, 1).left), {}, true)};
            for (const Objective& objective : objectives) {
                SCOPED_TRACE(format + " " + optimizer + " " + objective.name);
                GivenOptions few;
                if (optimizer != "integral") few = whole("iterations", 30);
                const RoundingResult result = run(optimizer, task_for(stored, weights, objective), few);
                EXPECT_LE(result.best.loss, result.nearest.loss);
                EXPECT_EQ(result.codes.size(), stored.plan->weight_bytes());
            }
        }
}

TEST(Minimize, EndsWhenItIsStopped) {
    const Matrix weights = random_matrix(64, 64, 6);
    const Stored stored(weights);
    RoundingTask task = task_for(stored, weights, svd_objective(10));
    int asked = 0;
    task.stop = [&] { return ++asked > 3; };
    const RoundingResult result = run("integral", std::move(task), whole("rounds", 100000));
    EXPECT_LE(result.candidates, 5u);
}

TEST(Minimize, TracesEveryIteration) {
    const Matrix weights = random_matrix(64, 64, 7);
    const Stored stored(weights);
    RoundingTask task = task_for(stored, weights, svd_objective(10));
    task.trace = true;
    const RoundingResult result = run("adamw", std::move(task), whole("iterations", 7));
    ASSERT_EQ(result.trace.size(), 7u);
    for (const TraceRow& row : result.trace) {
        EXPECT_TRUE(row.contains("relaxed_loss"));
        EXPECT_TRUE(row.contains("lr"));
    }
    for (const char* name : {"stored_loss", "squared_error", "codes_changed", "kept", "seconds"})
        EXPECT_TRUE(result.trace.back().contains(name)) << name;
}

}  // namespace
}  // namespace halftone::rounding_test
