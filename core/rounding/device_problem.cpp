#include "core/rounding/device_problem.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

#include "core/base/error.hpp"
#include "core/rounding/device_candidate.hpp"
#include "core/rounding/device_factors.hpp"
#include "core/rounding/device_judge.hpp"
#include "core/rounding/device_matrices.hpp"
#include "core/rounding/device_projection.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/problem_checks.hpp"
#include "core/rounding/trace_rows.hpp"

namespace halftone {
namespace {

class DeviceProblem final : public Problem {
  public:
    DeviceProblem(const RoundingTask& task, std::shared_ptr<Device> device, const ht_kernels* kernels)
        : task_(task),
          kernels_(kernels),
          work_(std::move(device)),
          rows_(task.weights.rows()),
          cols_(task.weights.cols()),
          candidates_(work_, task),
          objectives_(work_, task.weights, candidates_.weights(), task.seed),
          factors_(find_factors()),
          projection_(work_.device, *factors_, rows_, cols_, candidates_.band_rows(), work_.one, work_.zero),
          judge_(work_, task, candidates_, objectives_, *factors_, projection_),
          matrices_(work_, candidates_.weights(), *factors_, task.matrices),
          trace_(task.trace) {
        end_phase("directions");
    }

    Shape shape() const override {
        return {rows_, cols_, factors_->p_rows(rows_), factors_->p_cols(cols_), factors_->orthonormal};
    }

    ht_mat mat(uint64_t rows, uint64_t cols) override { return matrices_.add(rows, cols); }
    ht_num num(double initial) override { return matrices_.add(initial); }

    void gemm(ht_num alpha, ht_mat a, bool ta, ht_mat b, bool tb, ht_num beta, ht_mat c) override {
        const DeviceMatrix &left = matrices_.read(a), &right = matrices_.read(b), &to = matrices_.write(c);
        require_product(extent(left), ta, extent(right), tb, extent(to));
        const uint64_t inner = ta ? left.rows : left.cols;
        work_.stream.gemm({sizeof(ht_linear_gemm), ta, tb, HT_GEMM_FLOAT32, to.rows, to.cols, inner,
                           left.at(), right.at(), to.at(), left.cols, right.cols, to.cols, number(alpha),
                           number(beta)});
    }

    void factor(int32_t what, ht_mat a, ht_mat out) override {
        const DeviceMatrix &from = matrices_.read(a), &to = matrices_.write(out);
        if (from.rows != to.rows || from.cols != to.cols)
            fail(Exit::plugin, "", "factor() needs matrices of one size");
        factor_on_device(work_, what, from, to);
    }

    void copy(ht_mat to, ht_mat from) override {
        const DeviceMatrix &source = matrices_.read(from), &into = matrices_.write(to);
        require_same(extent(source), extent(into), "copy()");
        work_.stream.copy(into.at(), source.at(), source.bytes());
    }

    void project(ht_mat a, ht_space space, ht_mat p, ht_num norm) override {
        trace_.begin();
        const DeviceMatrix& to = projected(p);
        const DeviceCandidate candidate = candidate_of(a, space);
        projection_.project(
            work_.stream,
            [&](uint64_t row, uint64_t n, float* band) {
                const bool values = candidate.space == HT_SPACE_VALUES;
                if (!values) candidates_.values(candidate, row, n, band);
                work_.sums.run(work_.stream,
                               {.n = n * cols_,
                                .value = values ? candidate.at.at(row) : band,
                                .weights = weights().at(row),
                                .nearest = nullptr,
                                .error = band},
                               false, work_.ignored);
            },
            candidates_.band(), to.at());
        work_.sums.run(work_.stream, {.n = to.size(), .value = to.at()}, false, number(norm));
        if (trace_.on()) trace_.note("relaxed_loss", std::sqrt(value_of(norm)));
    }

    void project_stored(ht_mat a, ht_space space, ht_mat p, ht_num norm) override {
        trace_.begin();
        const DeviceMatrix& to = projected(p);
        if (a == HT_MAT_WEIGHTS && space == HT_SPACE_VALUES && judge_.remembers_nearest())
            judge_.repeat_nearest(to.at(), number(norm));
        else
            judge_.offer(candidate_of(a, space), to.at(), number(norm));
        note_candidate();
    }

    void lift_add(ht_mat to, ht_num alpha, ht_mat p) override {
        const DeviceMatrix& into = matrices_.write(to);
        require_same({rows_, cols_}, extent(into), "lift_add()");
        projection_.begin_lift(work_.stream, projected(p).at());
        projection_.lift(work_.stream, 0, rows_, number(alpha), work_.one, into.at(), HT_GEMM_SPLIT);
    }

    void apply(const ht_op& op, const std::vector<ht_mat>& mats, const std::vector<ht_num>& nums,
               ht_mat p) override {
        if (mats.size() > HT_OP_MOST_MATS || nums.size() > HT_OP_MOST_NUMS)
            throw DeviceFailure(DeviceFailure::Kind::refused,
                                fmt::format("operation '{}' takes more than a kernel can", op.name));
        ht_op_args args{};
        args.size = sizeof args;
        args.n_mats = static_cast<uint32_t>(mats.size());
        args.n_nums = static_cast<uint32_t>(nums.size());
        args.seed = task_.seed;
        for (size_t i = 0; i < nums.size(); ++i)
            args.nums[i] = number(nums[i]);
        void* const module = work_.device->module(*kernels_);
        if (op.kind == HT_OP_SCALAR) return work_.stream.launch(module, op.name, 1, args);
        if (mats.empty()) fail(Exit::plugin, "", "operation '{}' was given no matrix", op.name);
        const DeviceMatrix& first = matrices_.read(mats[0]);
        for (const ht_mat one : mats)
            require_same(extent(op.wants ? weights() : first), extent(matrices_.read(one)), op.name);
        if (op.wants & HT_OP_GRADIENT) projection_.begin_lift(work_.stream, projected(p).at());
        args.cols = first.cols;
        const uint64_t most = op.wants ? candidates_.band_rows() : first.rows;
        for (uint64_t row = 0; row < first.rows; row += most) {
            args.row = row;
            args.rows = std::min(most, first.rows - row);
            for (size_t i = 0; i < mats.size(); ++i) {
                args.mats[i] = matrices_.read(mats[i]).at(row);
                args.strides[i] = static_cast<int64_t>(first.cols);
            }
            give_wanted(op.wants, args);
            run_operation(op, module, args);
        }
    }

    void propose(ht_mat a, ht_space space) override {
        const DeviceMatrix p(work_.device, shape().p_rows, shape().p_cols);
        judge_.offer(candidate_of(a, space), p.at(), work_.ignored);
        note_candidate();
    }

    void refit(ht_mat a) override {
        const DeviceMatrix& values = matrices_.read(a);
        require_same({rows_, cols_}, extent(values), "refit()");
        const Matrix host = values.download(work_.stream);
        candidates_.add_grid(fitted_grid(*task_.format, host));
        judge_.forget_nearest();
    }

    void set(ht_num to, double value) override { work_.numbers.set(work_.stream, number(to), value); }
    double read(ht_num from) override { return value_of(from); }

    bool stop() override {
        constexpr uint64_t between_looks = 32;
        if (task_.stop && task_.stop()) return true;
        if (stop_flag_ && !stopped_ && ++stops_ % between_looks == 0)
            stopped_ = work_.numbers.read(work_.stream, stop_flag_) != 0;
        return stopped_;
    }
    void stop_when(ht_num flag) override { stop_flag_ = number(flag); }
    void trace(std::string_view name, ht_num value) override {
        if (trace_.on()) trace_.note(name, value_of(value));
    }

    RoundingResult finish() override {
        work_.stream.wait();
        end_phase("learning");
        RoundingResult result;
        result.candidates = judge_.offered();
        result.trace = trace_.take();
        result.nearest = judge_.nearest();
        DeviceJudge::Best best = judge_.best();
        result.best = std::move(best.measured);
        result.improved = best.improved;
        DeviceCandidates::Stored stored = candidates_.encode(best.candidate, best.grid);
        require_stored_as_judged(*task_.format, result.best.squared_error, stored.squared_error);
        result.codes = std::move(stored.codes);
        result.grid = std::move(stored.grid);
        end_phase("encoding");
        result.phases = std::move(phases_);
        return result;
    }

  private:
    std::shared_ptr<const DeviceFactors> find_factors() {
        end_phase("upload");
        return objectives_.of(task_.objective);
    }

    const DeviceMatrix& weights() const { return candidates_.weights(); }
    double* number(ht_num handle) const { return matrices_.number(handle); }
    double value_of(ht_num handle) { return work_.numbers.read(work_.stream, number(handle)); }

    static Extent extent(const DeviceMatrix& m) { return {m.rows, m.cols}; }

    const DeviceMatrix& projected(ht_mat p) const {
        const DeviceMatrix& to = matrices_.write(p);
        require_projection(extent(to), shape());
        return to;
    }

    DeviceCandidate candidate_of(ht_mat a, ht_space space) const {
        require_space(space);
        const DeviceMatrix& at = matrices_.read(a);
        require_same({rows_, cols_}, extent(at), "project() or propose()");
        return {at, space};
    }

    // ------------------------------------------------------------------------------------------ operations

    void give_wanted(uint32_t wants, ht_op_args& args) {
        if (wants & HT_OP_GRADIENT) {
            projection_.lift(work_.stream, args.row, args.rows, work_.one, work_.zero, candidates_.band(),
                             HT_GEMM_FLOAT32);
            args.gradient = candidates_.band();
        }
        if (wants & HT_OP_SIGMA) args.sigma = candidates_.sigma(args.row, args.rows).at();
        if (wants & HT_OP_NEAREST) args.nearest = candidates_.nearest(args.row, args.rows).at();
        if (wants & HT_OP_AROUND) {
            const DeviceCandidates::Around around =
                candidates_.around(args.row, args.rows, {args.mats[0], args.strides[0], 1});
            args.lo = around.lo.at();
            args.hi = around.hi.at();
        }
    }

    void run_operation(const ht_op& op, void* module, ht_op_args& args) {
        constexpr uint64_t sum_blocks = 512;
        if (op.kind != HT_OP_SUM)
            return work_.stream.launch(module, op.name, std::min<uint64_t>(args.rows, 1u << 16), args);
        if (args.n_nums == 0) return;
        const uint64_t bytes = sum_blocks * args.n_nums * sizeof(double);
        op_sums_.grow(work_.device, bytes);
        work_.stream.fill(op_sums_.data(), 0, bytes);
        args.sums = op_sums_.as<double>();
        work_.stream.launch(module, op.name, sum_blocks, args);
        for (uint32_t i = 0; i < args.n_nums; ++i) {
            const ht_fold_args fold{sizeof(ht_fold_args), 1,           sum_blocks, args.n_nums,
                                    args.sums + i,        args.nums[i]};
            work_.stream.launch(work_.device->common(), "fold", 1, fold);
        }
    }

    // ------------------------------------------------------------------------------------ phases and trace

    void end_phase(const char* name) {
        const auto now = std::chrono::steady_clock::now();
        phases_[name] = std::chrono::duration<double>(now - start_).count();
        start_ = now;
    }

    // What it tells has to be waited for.
    void note_candidate() {
        if (!trace_.on()) return;
        const auto since = std::chrono::steady_clock::now() - start_;
        trace_.candidate(judge_.last(), judge_.nearest(), judge_.codes_changed(), judge_.was_kept() != 0,
                         std::chrono::duration<double>(since).count());
    }

    const RoundingTask& task_;
    const ht_kernels* kernels_;
    std::map<std::string, double> phases_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();  // of the phase
    DeviceWork work_;
    const uint64_t rows_, cols_;
    DeviceCandidates candidates_;
    ObjectiveFactors objectives_;
    std::shared_ptr<const DeviceFactors> factors_;
    DeviceProjection projection_;
    DeviceJudge judge_;
    DeviceMatrices matrices_;
    DeviceBuffer op_sums_;
    const double* stop_flag_ = nullptr;
    bool stopped_ = false;
    uint64_t stops_ = 0;
    TraceRows trace_;
};

const ht_kernels* kernels_of(const Optimizer& optimizer) {
    return static_cast<const ht_kernels*>(optimizer.extension(HT_OPTIMIZER_KERNELS));
}

// What kernels are missing; snap() needs none with a table.
std::string missing_kernel(const FormatPlan& format, const Optimizer& optimizer) {
    const ht_kernels* const kernels = kernels_of(optimizer);
    for (const ht_op* op : optimizer.operations()) {
        if (!kernels || !kernels->serves(nullptr, op->name))
            return fmt::format("{} has no kernel for '{}'", optimizer.library().name(), op->name);
        if ((op->wants & HT_OP_AROUND) && !format.kernels("around"))
            return fmt::format("{} has no kernel for around()", format.plugin());
    }
    return "";
}

}  // namespace

std::string why_not_on_device(const RoundingTask& task, const Optimizer& optimizer) {
    const FormatPlan& format = *task.format;
    if (!format.kernels("snap") && !format.table(*task.grid))
        return format.plugin() + " has neither kernels nor a table";
    return missing_kernel(format, optimizer);
}

std::optional<uint64_t> host_bytes_beside_device(const FormatPlan& format, const Optimizer& optimizer) {
    if (!format.kernels("snap") || !missing_kernel(format, optimizer).empty()) return std::nullopt;
    const uint64_t row = format.source().cols * sizeof(float);
    const bool encodes_here = !encodes_on_device(format);
    return format.source().rows * row + (encodes_here ? rows_of_device_bands(format) * row : 0) +
           format.weight_bytes() + 2 * format.facts().grid_bytes + StagedCopies::bytes;
}

std::unique_ptr<Problem> make_device_problem(const RoundingTask& task, std::shared_ptr<Device> device,
                                             const Optimizer& optimizer) {
    return std::make_unique<DeviceProblem>(task, std::move(device), kernels_of(optimizer));
}

}  // namespace halftone
