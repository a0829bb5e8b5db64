#include <cstring>
#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include "core/base/error.hpp"
#include "core/linalg/gemm.hpp"
#include "core/rounding/views.hpp"
#include "tests/unit/rounding/support.hpp"

namespace halftone::rounding_test {
namespace {

std::vector<std::byte> encoded(const Stored& stored, const Matrix& values) {
    std::vector<std::byte> bytes(stored.plan->weight_bytes());
    stored.plan->encode(stored.grid, {0, 0, values.rows(), values.cols()}, view_of(values), bytes);
    return bytes;
}

bool same(const AlignedBytes& a, const std::vector<std::byte>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), b.size()) == 0;
}

// The number that tests put into matrices of a problem, which has no other way in.
const Matrix* poured = nullptr;
void pour(const ht_tile* tile) noexcept {
    for (uint64_t i = 0; i < tile->rows; ++i)
        std::memcpy(tile->mats[0] + static_cast<int64_t>(i) * tile->strides[0],
                    poured->view().row(tile->row + i) + tile->col, tile->cols * sizeof(float));
}
constexpr ht_op pour_op{sizeof(ht_op), HT_OP_ELEMENT, 0, 0, "pour", pour};

ht_mat put(Problem& problem, const Matrix& values) {
    const ht_mat handle = problem.mat(values.rows(), values.cols());
    poured = &values;
    problem.apply(pour_op, {handle}, {}, 0);
    return handle;
}

TEST(CpuProblem, BeginsWithRoundToNearestAndEndsWithItIfNothingIsProposed) {
    const Matrix weights = random_matrix(60, 90, 1);
    const Stored stored(weights);
    const auto problem = make_cpu_problem(task_for(stored, weights, svd_objective(10)));
    const RoundingResult result = problem->finish();
    EXPECT_FALSE(result.improved);
    EXPECT_TRUE(same(result.codes, encoded(stored, weights)));
    EXPECT_GT(result.nearest.loss, 0);
    EXPECT_EQ(result.best.loss, result.nearest.loss);
}

TEST(CpuProblem, KeepsTheBestOfManyAsTheBytesThatItEncodesTo) {
    const Matrix weights = random_matrix(80, 70, 2);
    const Stored stored(weights);
    RoundingTask task = task_for(stored, weights, svd_objective(12), 40);
    const auto problem = make_cpu_problem(std::move(task));
    const Problem::Shape shape = problem->shape();
    const ht_mat p = problem->mat(shape.p_rows, shape.p_cols);
    const ht_num norm = problem->num(0);
    double best = INFINITY;
    std::vector<std::byte> best_bytes;
    for (uint32_t seed = 0; seed < 20; ++seed) {
        Matrix candidate = copy_of(weights);
        const Matrix noise = random_matrix(80, 70, 100 + seed, 5e-4f);
        for (uint64_t i = 0; i < 80 * 70; ++i)
            candidate.data()[i] += noise.data()[i];
        problem->project_stored(put(*problem, candidate), HT_SPACE_VALUES, p, norm);
        if (problem->read(norm) < best) {
            best = problem->read(norm);
            best_bytes = encoded(stored, candidate);
        }
    }
    const RoundingResult result = problem->finish();
    EXPECT_EQ(result.candidates, 20u);
    if (best < result.nearest.loss) {
        EXPECT_TRUE(result.improved);
        EXPECT_EQ(result.best.loss, best);
        EXPECT_TRUE(same(result.codes, best_bytes));
    } else {
        EXPECT_FALSE(result.improved);
        EXPECT_TRUE(same(result.codes, encoded(stored, weights)));
    }
}

// Whatever an optimizer proposes, what is stored is never judged worse than round to nearest.
TEST(CpuProblem, IsNeverWorseThanRoundToNearest) {
    for (uint32_t seed = 0; seed < 10; ++seed) {
        const Matrix weights = random_matrix(20 + seed, 30, seed);
        const Stored stored(weights);
        const auto problem = make_cpu_problem(task_for(stored, weights, svd_objective(5)));
        for (const float size : {1e-5f, 1e-3f, 1.0f})
            problem->propose(put(*problem, random_matrix(20 + seed, 30, seed + 50, size)), HT_SPACE_VALUES);
        const RoundingResult result = problem->finish();
        EXPECT_LE(result.best.loss, result.nearest.loss);
    }
}

TEST(CpuProblem, LeavesOutWhatErrsTooMuchByTheSquaredError) {
    const Matrix weights = random_matrix(50, 50, 4);
    const Stored stored(weights);
    const auto improved = [&](double cap) {
        RoundingTask task = task_for(stored, weights, svd_objective(5));
        task.judge.squared_error_cap = cap;
        const auto problem = make_cpu_problem(std::move(task));
        // What makes the projected error smaller makes the squared error larger.
        const Problem::Shape shape = problem->shape();
        const ht_mat p = problem->mat(shape.p_rows, shape.p_cols), latent = problem->mat(50, 50);
        const ht_num norm = problem->num(0), back = problem->num(-0.65);
        problem->copy(latent, HT_MAT_WEIGHTS);
        problem->project_stored(HT_MAT_WEIGHTS, HT_SPACE_VALUES, p, norm);
        problem->lift_add(latent, back, p);
        problem->propose(latent, HT_SPACE_VALUES);
        const RoundingResult result = problem->finish();
        if (result.improved) {
            EXPECT_LE(result.best.squared_error, cap * result.nearest.squared_error);
        }
        return result.improved;
    };
    EXPECT_TRUE(improved(10));
    EXPECT_FALSE(improved(1));
}

TEST(CpuProblem, TakesStepsOfTheCodeForValues) {
    const Matrix weights = random_matrix(40, 30, 5);
    const Stored stored(weights);
    const Matrix steps = random_matrix(40, 30, 6, 0.4f);
    Matrix values(40, 30), sigma(40, 30);
    const ht_region all{0, 0, 40, 30};
    stored.plan->snap(stored.grid, all, view_of(weights), view_of(values));
    stored.plan->sigma(stored.grid, all, view_of(sigma));
    for (uint64_t i = 0; i < 40 * 30; ++i)
        values.data()[i] += steps.data()[i] * sigma.data()[i];
    const auto loss = [&](const Matrix& m, ht_space space, bool store) {
        const auto problem = make_cpu_problem(task_for(stored, weights, svd_objective(8)));
        const Problem::Shape shape = problem->shape();
        const ht_mat p = problem->mat(shape.p_rows, shape.p_cols);
        const ht_num norm = problem->num(0);
        store ? problem->project_stored(put(*problem, m), space, p, norm)
              : problem->project(put(*problem, m), space, p, norm);
        return problem->read(norm);
    };
    EXPECT_EQ(loss(steps, HT_SPACE_STEPS, false), loss(values, HT_SPACE_VALUES, false));
    EXPECT_EQ(loss(steps, HT_SPACE_STEPS, true), loss(values, HT_SPACE_VALUES, true));
}

TEST(CpuProblem, JudgesByAWeightedSumOfObjectives) {
    const Matrix weights = random_matrix(64, 48, 7);
    const Stored stored(weights);
    const Matrix candidate = [&] {
        Matrix result = copy_of(weights);
        for (uint64_t i = 0; i < 64 * 48; ++i)
            result.data()[i] *= 1.01f;
        return result;
    }();
    RoundingTask task = task_for(stored, weights, svd_objective(6));
    task.judge.terms = {{1, svd_objective(6)},
                        {3, objective_of("squared", {}, {}, true)},
                        {2, objective_of("mine", random_matrix(3, 64, 8, 1), {}, false)}};
    const auto problem = make_cpu_problem(std::move(task));
    problem->propose(put(*problem, candidate), HT_SPACE_VALUES);
    const RoundingResult result = problem->finish();
    ASSERT_EQ(result.nearest.terms.size(), 3u);
    EXPECT_EQ(result.nearest.terms[0], result.nearest.loss);
    EXPECT_EQ(result.nearest.terms[1], result.nearest.squared_error);
    EXPECT_NE(result.nearest.terms[2], result.nearest.terms[1]);
    Judge judge;
    judge.terms = {{1, {}}, {3, {}}};
    EXPECT_DOUBLE_EQ(judged(judge, {0, 0, {2, 6}}, {0, 0, {4, 3}}), (0.5 + 3 * 2) / 4);
}

TEST(CpuProblem, GivesTheSameBytesForAnyNumberOfThreads) {
    const Matrix weights = random_matrix(600, 520, 9);
    const Stored stored(weights);
    const auto codes = [&](int threads) {
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                        static_cast<size_t>(threads));
        tbb::task_arena arena(threads);
        return arena.execute([&] {
            const auto problem = make_cpu_problem(task_for(stored, weights, svd_objective(60)));
            const Problem::Shape shape = problem->shape();
            const ht_mat p = problem->mat(shape.p_rows, shape.p_cols), latent = problem->mat(600, 520);
            const ht_num norm = problem->num(0), back = problem->num(-0.1);
            problem->copy(latent, HT_MAT_WEIGHTS);
            for (int i = 0; i < 5; ++i) {
                problem->project_stored(latent, HT_SPACE_VALUES, p, norm);
                problem->lift_add(latent, back, p);
            }
            RoundingResult result = problem->finish();
            EXPECT_TRUE(result.improved);
            return std::move(result.codes);
        });
    };
    const AlignedBytes one = codes(1), four = codes(4);
    ASSERT_EQ(one.size(), four.size());
    EXPECT_EQ(0, std::memcmp(one.data(), four.data(), one.size()));
}

TEST(CpuProblem, RefitsScalesAndKeepsTheGridOfTheBest) {
    const Matrix weights = random_matrix(32, 64, 10);
    const Stored stored(weights, "fp8", {{"scaling", {std::string("row"), "test"}}});
    const auto problem = make_cpu_problem(task_for(stored, weights, svd_objective(4)));
    Matrix larger = copy_of(weights);
    for (uint64_t i = 0; i < 32 * 64; ++i)
        larger.data()[i] *= 3;
    problem->refit(put(*problem, larger));
    problem->propose(HT_MAT_WEIGHTS, HT_SPACE_VALUES);
    const RoundingResult result = problem->finish();
    const Grid& expected = stored.grid;
    if (!result.improved)
        EXPECT_EQ(0, std::memcmp(result.grid.data(), expected.data(), stored.plan->facts().grid_bytes));
    else
        EXPECT_NE(0, std::memcmp(result.grid.data(), expected.data(), stored.plan->facts().grid_bytes));
}

void sum_of_squares(const ht_tile* tile) noexcept {
    for (uint64_t i = 0; i < tile->rows; ++i)
        for (uint64_t j = 0; j < tile->cols; ++j) {
            const float x =
                tile->mats[0][static_cast<int64_t>(i) * tile->strides[0] + static_cast<int64_t>(j)];
            tile->nums[0] += static_cast<double>(x) * static_cast<double>(x);
        }
}
constexpr ht_op sum_op{sizeof(ht_op), HT_OP_SUM, 0, 0, "sum", sum_of_squares};

// Neighbours enclose what they are asked for; a row is never cut.
void check_neighbours(const ht_tile* tile) noexcept {
    for (uint64_t i = 0; i < tile->rows; ++i)
        for (uint64_t j = 0; j < tile->cols; ++j) {
            const float x =
                tile->mats[0][static_cast<int64_t>(i) * tile->strides[0] + static_cast<int64_t>(j)];
            const uint64_t k = i * tile->cols + j;
            float& out = tile->mats[1][static_cast<int64_t>(i) * tile->strides[1] + static_cast<int64_t>(j)];
            out = tile->lo[k] <= x && x <= tile->hi[k] && tile->cols == 530 ? 1.0f : 0.0f;
        }
}
constexpr ht_op neighbours_op{sizeof(ht_op), HT_OP_ROWS, HT_OP_AROUND, 0, "neighbours", check_neighbours};

TEST(Operations, SumOverTilesAndSeeNeighboursInWholeRows) {
    const Matrix weights = random_matrix(300, 530, 11);
    const Stored stored(weights);
    const auto problem = make_cpu_problem(task_for(stored, weights, svd_objective(4)));
    const ht_num sum = problem->num(5);
    problem->apply(sum_op, {HT_MAT_WEIGHTS}, {sum}, 0);
    EXPECT_NEAR(problem->read(sum), 5 + squared_norm(weights), 1e-9);

    const ht_mat out = problem->mat(300, 530);
    problem->apply(neighbours_op, {HT_MAT_WEIGHTS, out}, {}, 0);
    const ht_num good = problem->num(0);
    problem->apply(sum_op, {out}, {good}, 0);
    // The largest magnitude lies on the grid's end, all others inside.
    EXPECT_EQ(problem->read(good), 300 * 530);
}

TEST(CpuProblem, RefusesHandlesAndShapesThatMakeNoSense) {
    const Matrix weights = random_matrix(20, 10, 12);
    const Stored stored(weights);
    const auto problem = make_cpu_problem(task_for(stored, weights, svd_objective(3), 1));
    const ht_num norm = problem->num(0);
    const ht_mat p = problem->mat(3, 3), wrong = problem->mat(4, 3), all = problem->mat(20, 10);
    EXPECT_THROW(problem->project(HT_MAT_WEIGHTS, HT_SPACE_VALUES, wrong, norm), Error);
    EXPECT_THROW(problem->project(p, HT_SPACE_VALUES, p, norm), Error);
    EXPECT_THROW(problem->project(all, 7, p, norm), Error);
    EXPECT_THROW(problem->copy(HT_MAT_WEIGHTS, all), Error);
    EXPECT_THROW(problem->copy(all, 99), Error);
    EXPECT_THROW(problem->read(99), Error);
    EXPECT_THROW(problem->mat(20, 10), Error) << "one more than was told";
    EXPECT_THROW(problem->mat(uint64_t{1} << 40, uint64_t{1} << 40), Error);
}

}  // namespace
}  // namespace halftone::rounding_test
