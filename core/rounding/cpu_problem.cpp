#include "core/rounding/cpu_problem.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/linalg/gemm.hpp"
#include "core/linalg/svd.hpp"
#include "core/linalg/tiles.hpp"
#include "core/rounding/candidate.hpp"
#include "core/rounding/cpu_matrices.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/operation.hpp"
#include "core/rounding/problem_checks.hpp"
#include "core/rounding/projection.hpp"
#include "core/rounding/trace_rows.hpp"
#include "core/rounding/views.hpp"

namespace halftone {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class CpuProblem final : public Problem {
  public:
    explicit CpuProblem(RoundingTask task)
        : task_(std::move(task)),
          format_(*task_.format),
          rows_(task_.weights.rows()),
          cols_(task_.weights.cols()),
          grid_(copy_of(*task_.grid)),
          tiles_(format_, grid_, task_.weights),
          factors_(factors_of(task_.objective)),
          matrices_(task_.weights, *factors_, task_.matrices),
          trace_(task_.trace) {
        for (const Judge::Term& term : task_.judge.terms)
            term_factors_.push_back(factors_of(term.objective));
        const Shape s = shape();
        const Candidate weights{task_.weights, HT_SPACE_VALUES};
        Matrix p(s.p_rows, s.p_cols);
        result_.nearest = score(stored(weights), p, nullptr);
        result_.best = result_.nearest;
        result_.codes = AlignedBytes(format_.weight_bytes());
        tiles_.encode(weights, result_.codes.bytes());
        // Optimizers begin with it; remembered where it is small.
        if (!factors_->left.empty() && !factors_->right.empty()) nearest_p_ = std::move(p);
    }

    Shape shape() const override {
        return {rows_, cols_, factors_->p_rows(rows_), factors_->p_cols(cols_), factors_->orthonormal};
    }

    ht_mat mat(uint64_t rows, uint64_t cols) override { return matrices_.add(rows, cols); }
    ht_num num(double initial) override { return matrices_.add(initial); }

    void gemm(ht_num alpha, ht_mat a, bool ta, ht_mat b, bool tb, ht_num beta, ht_mat c) override {
        const auto op = [](bool transpose) { return transpose ? Op::transpose : Op::plain; };
        const ConstMatrixView left = matrices_.read(a), right = matrices_.read(b);
        const MatrixView to = matrices_.write(c);
        require_product(extent(left), ta, extent(right), tb, extent(to));
        halftone::gemm(static_cast<float>(number(alpha)), left, op(ta), right, op(tb),
                       static_cast<float>(number(beta)), to);
    }

    void factor(int32_t what, ht_mat a, ht_mat out) override {
        factor_matrix(what, matrices_.read(a), matrices_.write(out));
    }

    void copy(ht_mat to, ht_mat from) override {
        const ConstMatrixView source = matrices_.read(from);
        const MatrixView target = matrices_.write(to);
        require_same(extent(source), extent(target), "copy()");
        each_tile(source.rows, [&](uint64_t i) { std::copy_n(source.row(i), source.cols, target.row(i)); });
    }

    void project(ht_mat a, ht_space space, ht_mat p, ht_num norm) override {
        trace_.begin();
        const MatrixView to = projected(p);
        const Candidate candidate = candidate_of(a, space);
        Projection(*factors_, rows_, cols_)(
            [&](const TilePlace& place, MatrixView e) {
                tiles_.values(candidate, place, e);
                tiles_.subtract_weights(place, e);
            },
            to);
        number(norm) = squared_norm(to);
        trace_.note("relaxed_loss", std::sqrt(number(norm)));
    }

    void project_stored(ht_mat a, ht_space space, ht_mat p, ht_num norm) override {
        trace_.begin();
        const MatrixView to = projected(p);
        if (a == HT_MAT_WEIGHTS && space == HT_SPACE_VALUES && !nearest_p_.empty()) {
            std::memcpy(to.at, nearest_p_.data(), to.rows * to.cols * sizeof(float));
            number(norm) = result_.nearest.loss;
            note_candidate(result_.nearest, 0, false);
            return;
        }
        number(norm) = offer(candidate_of(a, space), to);
    }

    void lift_add(ht_mat to, ht_num alpha, ht_mat p) override {
        const MatrixView target = matrices_.write(to);
        require_same({rows_, cols_}, extent(target), "lift_add()");
        const Lift lift(*factors_, projected(p), rows_, cols_);
        const auto by = static_cast<float>(number(alpha));
        each_place([&](const TilePlace& at) {
            lift.tile(at.row, at.col, by, 1, target.block(at.row, at.col, at.rows, at.cols));
        });
    }

    void apply(const ht_op& op, const std::vector<ht_mat>& mats, const std::vector<ht_num>& nums,
               ht_mat p) override {
        Operation operation(op, format_, grid_, task_.weights, task_.seed, task_.culprit);
        for (const ht_mat one : mats)
            operation.add(matrices_.read(one));
        std::vector<double> numbers;
        for (const ht_num one : nums)
            numbers.push_back(number(one));
        std::optional<Lift> lift;
        if (op.wants & HT_OP_GRADIENT) lift.emplace(*factors_, projected(p), rows_, cols_);
        operation.run(numbers, lift ? &*lift : nullptr);
        for (size_t i = 0; i < nums.size(); ++i)
            number(nums[i]) = numbers[i];
    }

    void propose(ht_mat a, ht_space space) override {
        Matrix p(shape().p_rows, shape().p_cols);
        offer(candidate_of(a, space), p);
    }

    void refit(ht_mat a) override {
        const ConstMatrixView values = matrices_.read(a);
        require_same({rows_, cols_}, extent(values), "refit()");
        if (!best_grid_) best_grid_ = copy_of(grid_);
        grid_ = fitted_grid(format_, values);
        nearest_p_ = {};
    }

    void set(ht_num to, double value) override { number(to) = value; }
    double read(ht_num from) override { return number(from); }
    bool stop() override { return (stop_flag_ && number(*stop_flag_) != 0) || (task_.stop && task_.stop()); }
    void stop_when(ht_num flag) override {
        number(flag);
        stop_flag_ = flag;
    }
    void trace(std::string_view name, ht_num value) override { trace_.note(name, number(value)); }

    RoundingResult finish() override {
        result_.grid = best_grid_ ? std::move(*best_grid_) : copy_of(grid_);
        if (result_.improved)
            require_stored_as_judged(
                format_, result_.best.squared_error,
                squared_error_of(result_.codes.bytes(), format_, result_.grid, task_.weights));
        result_.trace = trace_.take();
        return std::move(result_);
    }

  private:
    static Grid copy_of(const Grid& grid) {
        Grid copy(grid.size());
        std::memcpy(copy.data(), grid.data(), grid.size());
        return copy;
    }

    double& number(ht_num handle) { return matrices_.number(handle); }

    static Extent extent(ConstMatrixView m) { return {m.rows, m.cols}; }

    MatrixView projected(ht_mat p) {
        const MatrixView to = matrices_.write(p);
        require_projection(extent(to), shape());
        return to;
    }

    Candidate candidate_of(ht_mat a, ht_space space) {
        require_space(space);
        const ConstMatrixView at = matrices_.read(a);
        require_same({rows_, cols_}, extent(at), "project() or propose()");
        return {at, space};
    }

    // Objectives of the same name share their factors.
    std::shared_ptr<const Factors> factors_of(const Objective& objective) {
        auto& known = known_factors_[objective.name];
        if (known) return known;
        if (objective.singular_directions == 0) return known = objective.factors;
        TruncatedSvd svd = truncated_svd(task_.weights, objective.singular_directions, task_.seed);
        auto made = std::make_shared<Factors>();
        made->left = std::move(svd.left);
        made->right = std::move(svd.right);
        made->orthonormal = true;
        return known = std::move(made);
    }

    template <class Work>
    void each_place(const Work& work) const {
        constexpr uint64_t rows = 256, cols = 512;
        const uint64_t down = pieces(rows_, rows), across = pieces(cols_, cols);
        each_tile(down * across, [&](uint64_t i) {
            const uint64_t row = i / across * rows, col = i % across * cols;
            work(TilePlace{row, col, std::min(rows, rows_ - row), std::min(cols, cols_ - col), i});
        });
    }

    // --------------------------------------------------------------------------------- judging and keeping

    MakeTile stored(const Candidate& candidate) const {
        return [this, candidate](const TilePlace& at, MatrixView out) { tiles_.stored(candidate, at, out); };
    }

    // Of the values that `make` gives. p = A (value - W) B of the objective.
    Measured score(const MakeTile& make, MatrixView p, uint64_t* changed) {
        const Projection project(*factors_, rows_, cols_);
        std::vector<double> squares(project.tiles());
        std::vector<uint64_t> changes(project.tiles());
        project(
            [&](const TilePlace& at, MatrixView e) {
                make(at, e);
                if (changed) changes[at.index] = tiles_.differing(at, e);
                tiles_.subtract_weights(at, e);
                double sum = 0;
                for (uint64_t i = 0; i < at.rows; ++i)
                    for (uint64_t j = 0; j < at.cols; ++j)
                        sum += static_cast<double>(e.row(i)[j]) * static_cast<double>(e.row(i)[j]);
                squares[at.index] = sum;
            },
            p);
        Measured result;
        result.loss = squared_norm(p);
        for (const double one : squares)
            result.squared_error += one;
        if (changed)
            for (const uint64_t one : changes)
                *changed += one;
        for (size_t i = 0; i < term_factors_.size(); ++i)
            result.terms.push_back(term(i, make, result));
        return result;
    }

    double term(size_t i, const MakeTile& make, const Measured& score) {
        const Factors& factors = *term_factors_[i];
        if (&factors == factors_.get()) return score.loss;
        if (factors.left.empty() && factors.right.empty()) return score.squared_error;
        Matrix p(factors.p_rows(rows_), factors.p_cols(cols_));
        Projection(factors, rows_, cols_)(
            [&](const TilePlace& at, MatrixView e) {
                make(at, e);
                tiles_.subtract_weights(at, e);
            },
            p);
        return squared_norm(p);
    }

    // Judges what would be stored, keeps it if it is the best, and returns its loss.
    double offer(const Candidate& candidate, MatrixView p) {
        uint64_t changed = 0;
        const Measured now = score(stored(candidate), p, task_.trace ? &changed : nullptr);
        ++result_.candidates;
        const bool better =
            judged(task_.judge, now, result_.nearest) < judged(task_.judge, result_.best, result_.nearest);
        if (better) {
            tiles_.encode(candidate, result_.codes.bytes());
            if (best_grid_) best_grid_ = copy_of(grid_);
            result_.best = now;
            result_.improved = true;
        }
        note_candidate(now, changed, better);
        return now.loss;
    }

    void note_candidate(const Measured& now, uint64_t changed, bool kept) {
        trace_.candidate(now, result_.nearest, static_cast<double>(changed), kept, seconds_since(start_));
    }

    RoundingTask task_;
    const FormatPlan& format_;
    uint64_t rows_, cols_;
    Grid grid_;
    CandidateTiles tiles_;
    std::map<std::string, std::shared_ptr<const Factors>, std::less<>> known_factors_;
    std::shared_ptr<const Factors> factors_;
    std::vector<std::shared_ptr<const Factors>> term_factors_;
    CpuMatrices matrices_;
    Matrix nearest_p_;
    RoundingResult result_;
    std::optional<Grid> best_grid_;  // once the scales have been refitted
    std::optional<ht_num> stop_flag_;
    TraceRows trace_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

std::unique_ptr<Problem> make_cpu_problem(RoundingTask task) {
    return std::make_unique<CpuProblem>(std::move(task));
}

}  // namespace halftone
