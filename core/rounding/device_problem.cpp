#include "core/rounding/device_problem.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <map>
#include <utility>

#include "core/base/error.hpp"
#include "core/device/device_grid.hpp"
#include "core/linalg/svd.hpp"
#include "core/linalg/tiles.hpp"
#include "core/rounding/device_numbers.hpp"
#include "core/rounding/device_projection.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/operation.hpp"
#include "core/rounding/staged_copies.hpp"
#include "core/rounding/views.hpp"

namespace halftone {
namespace {

[[noreturn]] void refuse(const std::string& why) {
    throw DeviceFailure(DeviceFailure::Kind::refused, why);
}

// Whole granules, so many that a product with a band fills the device, and yet little beside what is kept.
uint64_t rows_of_device_bands(const FormatPlan& format) {
    constexpr uint64_t wanted = 64u << 20;
    const uint64_t rows = format.source().rows, granule = std::min(format.facts().granule_rows, rows);
    return std::min(std::max<uint64_t>(1, wanted / (granule * format.source().cols)) * granule, rows);
}

// A matrix of the weights' size as its numbers are meant.
struct Candidate {
    const DeviceMatrix& at;
    ht_space space;
};

class DeviceProblem final : public Problem {
  public:
    DeviceProblem(const RoundingTask& task, std::shared_ptr<Device> device, const ht_kernels* kernels)
        : task_(task),
          format_(*task.format),
          device_(std::move(device)),
          kernels_(kernels),
          stream_(device_),
          numbers_(device_),
          sums_(device_),
          staged_(device_),
          rows_(task.weights.rows()),
          cols_(task.weights.cols()),
          band_rows_(rows_of_device_bands(format_)),
          weights_(device_, rows_, cols_),
          best_(device_, rows_, cols_),
          band_(device_, band_rows_, cols_),
          large_left_(task.matrices),
          one_(numbers_.add(stream_, 1)),
          zero_(numbers_.add(stream_, 0)),
          ignored_(numbers_.add(stream_, 0)),
          changed_(numbers_.add(stream_, 0)),
          kept_(numbers_.add(stream_, 0)),
          improved_(numbers_.add(stream_, 0)),
          best_form_(numbers_.add(stream_, 0)),
          terms_(task.judge.terms.size()) {
        if (terms_ + 1 > HT_JUDGE_MOST_TERMS) refuse("the judge has too many terms for a device");
        for (double** list : {&scores_, &nearest_scores_, &best_scores_}) {
            *list = numbers_.add(stream_, 0);
            for (uint64_t i = 0; i <= terms_; ++i)  // places follow each other
                numbers_.add(stream_, 0);
        }
        staged_.upload(stream_, weights_.at(), task.weights.data(), weights_.bytes());
        add_grid(*task.grid);
        end_phase("upload");
        factors_ = factors_of(task.objective);
        for (const Judge::Term& term : task.judge.terms)
            term_factors_.push_back(factors_of(term.objective));
        projection_.emplace(device_, *factors_, rows_, cols_, band_rows_, one_, zero_);

        DeviceMatrix p(device_, shape().p_rows, shape().p_cols);
        score({weights_, HT_SPACE_VALUES}, p.at(), scores_ + terms_ + 1);
        for (double* const list : {nearest_scores_, best_scores_})
            stream_.copy(list, scores_, (terms_ + 2) * sizeof(double));
        // Optimizers begin with it; remembered where it is small.
        if (!factors_->left.empty() && !factors_->right.empty()) nearest_p_ = std::move(p);
        stream_.wait();
        end_phase("directions");
    }

    Shape shape() const override {
        return {rows_, cols_, factors_->p_rows(rows_), factors_->p_cols(cols_), factors_->orthonormal};
    }

    ht_mat mat(uint64_t rows, uint64_t cols) override {
        if (rows == 0 || cols == 0) fail(Exit::plugin, "", "mat() was asked for a matrix without elements");
        const uint64_t large = rows_ * cols_;
        if (cols > large / rows + 1 || rows * cols >= large) {
            if (large_left_ == 0 || cols > large / rows + 1 || rows * cols > large)
                fail(Exit::plugin, "",
                     "mat() was asked for another matrix of {} x {}, beyond what mats() told", rows, cols);
            --large_left_;
        }
        const DeviceMatrix& made = matrices_.emplace_back(device_, rows, cols);
        stream_.fill(made.at(), 0, made.bytes());
        return HT_MAT_FIRST + static_cast<ht_mat>(matrices_.size() - 1);
    }

    ht_num num(double initial) override {
        handles_.push_back(numbers_.add(stream_, initial));
        return static_cast<ht_num>(handles_.size() - 1);
    }

    void gemm(ht_num alpha, ht_mat a, bool ta, ht_mat b, bool tb, ht_num beta, ht_mat c) override {
        const DeviceMatrix &left = matrix(a), &right = matrix(b), &to = target(c);
        const uint64_t inner = ta ? left.rows : left.cols;
        if ((ta ? left.cols : left.rows) != to.rows || (tb ? right.rows : right.cols) != to.cols ||
            inner != (tb ? right.cols : right.rows))
            fail(Exit::plugin, "", "gemm() was given shapes that do not match");
        stream_.gemm({sizeof(ht_linear_gemm), ta, tb, HT_GEMM_FLOAT32, to.rows, to.cols, inner, left.at(),
                      right.at(), to.at(), left.cols, right.cols, to.cols, number(alpha), number(beta)});
    }

    void factor(int32_t what, ht_mat a, ht_mat out) override {
        const DeviceMatrix &from = matrix(a), &to = target(out);
        if (from.rows != to.rows || from.cols != to.cols)
            fail(Exit::plugin, "", "factor() needs matrices of one size");
        if (!factor_here(what, from, to)) {  // the CPU has them all, and says what is wrong with a matrix
            Matrix host = downloaded(from);
            Matrix result(to.rows, to.cols);
            factor_matrix(what, host, result);
            to.upload(stream_, result.data());
            stream_.wait();
        }
    }

    void copy(ht_mat to, ht_mat from) override {
        const DeviceMatrix &source = matrix(from), &into = target(to);
        same_shape(source, into, "copy()");
        stream_.copy(into.at(), source.at(), source.bytes());
    }

    void project(ht_mat a, ht_space space, ht_mat p, ht_num norm) override {
        begin_row();
        const DeviceMatrix& to = projected(p);
        const Candidate candidate = candidate_of(a, space);
        projection_->project(
            stream_,
            [&](uint64_t row, uint64_t n, float* band) {
                const bool values = candidate.space == HT_SPACE_VALUES;
                if (!values) value_band(candidate, row, n, band);
                sums_.run(stream_,
                          {.n = n * cols_,
                           .value = values ? candidate.at.at(row) : band,
                           .weights = weights_.at(row),
                           .nearest = nullptr,
                           .error = band},
                          false, ignored_);
            },
            band_.at(), to.at());
        sums_.run(stream_, {.n = to.size(), .value = to.at()}, false, number(norm));
        if (task_.trace) note("relaxed_loss", std::sqrt(numbers_.read(stream_, number(norm))));
    }

    void project_stored(ht_mat a, ht_space space, ht_mat p, ht_num norm) override {
        begin_row();
        const DeviceMatrix& to = projected(p);
        if (a != HT_MAT_WEIGHTS || space != HT_SPACE_VALUES || nearest_p_.empty())
            return offer(candidate_of(a, space), to.at(), number(norm));
        stream_.copy(to.at(), nearest_p_.at(), to.bytes());
        stream_.copy(number(norm), nearest_scores_ + terms_ + 1, sizeof(double));
        if (!task_.trace) return;
        stream_.copy(scores_, nearest_scores_, (terms_ + 2) * sizeof(double));
        for (double* const none : {changed_, kept_})
            stream_.copy(none, zero_, sizeof(double));
        note_candidate();
    }

    void lift_add(ht_mat to, ht_num alpha, ht_mat p) override {
        const DeviceMatrix& into = target(to);
        same_shape(weights_, into, "lift_add()");
        projection_->begin_lift(stream_, projected(p).at());
        projection_->lift(stream_, 0, rows_, number(alpha), one_, into.at(), HT_GEMM_SPLIT);
    }

    void apply(const ht_op& op, const std::vector<ht_mat>& mats, const std::vector<ht_num>& nums,
               ht_mat p) override {
        if (mats.size() > HT_OP_MOST_MATS || nums.size() > HT_OP_MOST_NUMS)
            refuse(fmt::format("operation '{}' takes more than a kernel can", op.name));
        ht_op_args args{};
        args.size = sizeof args;
        args.n_mats = static_cast<uint32_t>(mats.size());
        args.n_nums = static_cast<uint32_t>(nums.size());
        args.seed = task_.seed;
        for (size_t i = 0; i < nums.size(); ++i)
            args.nums[i] = number(nums[i]);
        void* const module = device_->module(*kernels_);
        if (op.kind == HT_OP_SCALAR) return stream_.launch(module, op.name, 1, args);
        if (mats.empty()) fail(Exit::plugin, "", "operation '{}' was given no matrix", op.name);
        const DeviceMatrix& first = matrix(mats[0]);
        for (const ht_mat one : mats)
            same_shape(op.wants ? weights_ : first, matrix(one), op.name);
        if (op.wants & HT_OP_GRADIENT) projection_->begin_lift(stream_, projected(p).at());
        args.cols = first.cols;
        const uint64_t most = op.wants ? band_rows_ : first.rows;
        for (uint64_t row = 0; row < first.rows; row += most) {
            args.row = row;
            args.rows = std::min(most, first.rows - row);
            for (size_t i = 0; i < mats.size(); ++i) {
                args.mats[i] = matrix(mats[i]).at(row);
                args.strides[i] = static_cast<int64_t>(first.cols);
            }
            give_wanted(op.wants, args);
            run_operation(op, module, args);
        }
    }

    void propose(ht_mat a, ht_space space) override {
        const DeviceMatrix p(device_, shape().p_rows, shape().p_cols);
        offer(candidate_of(a, space), p.at(), ignored_);
    }

    void refit(ht_mat a) override {
        const DeviceMatrix& values = matrix(a);
        same_shape(weights_, values, "refit()");
        const Matrix host = downloaded(values);
        add_grid(fitted_grid(format_, host));
        nearest_p_ = {};
    }

    void set(ht_num to, double value) override { numbers_.set(stream_, number(to), value); }
    double read(ht_num from) override { return numbers_.read(stream_, number(from)); }

    bool stop() override {
        constexpr uint64_t between_looks = 32;
        if (task_.stop && task_.stop()) return true;
        if (stop_flag_ && !stopped_ && ++stops_ % between_looks == 0)
            stopped_ = numbers_.read(stream_, stop_flag_) != 0;
        return stopped_;
    }
    void stop_when(ht_num flag) override { stop_flag_ = number(flag); }
    void trace(std::string_view name, ht_num value) override {
        if (task_.trace) note(name, numbers_.read(stream_, number(value)));
    }

    RoundingResult finish() override {
        stream_.wait();
        end_phase("learning");
        RoundingResult result;
        result.candidates = candidates_;
        result.trace = std::move(trace_);
        result.nearest = measured(nearest_scores_);
        result.best = measured(best_scores_);
        result.improved = numbers_.read(stream_, improved_) != 0;
        const auto form = static_cast<uint64_t>(numbers_.read(stream_, best_form_));
        OwnGrid& own = grids_[result.improved ? form / 2 : 0];
        grid_ = &own;
        const Candidate kept{result.improved ? best_ : weights_,
                             result.improved && form % 2 ? HT_SPACE_STEPS : HT_SPACE_VALUES};
        result.codes = AlignedBytes(format_.weight_slice_bytes());
        const double stored = encode(kept, own, result.codes);
        check(stored, result.best.squared_error);
        result.grid = std::move(own.host);
        end_phase("encoding");
        result.phases = std::move(phases_);
        return result;
    }

  private:
    struct OwnGrid {
        Grid host;
        DeviceGrid device;
    };

    void add_grid(const Grid& grid) {
        Grid copy(grid.size());
        std::memcpy(copy.data(), grid.data(), grid.size());
        OwnGrid& own = grids_.emplace_back(OwnGrid{std::move(copy), DeviceGrid(device_, format_)});
        if (!own.device.snaps(own.host)) refuse(format_.plugin() + " has neither kernels nor a table");
        own.device.upload(stream_, own.host);
        stream_.wait();
        grid_ = &own;
    }

    // ------------------------------------------------------------------------------- handles and factors

    double* number(ht_num handle) const {
        if (handle >= handles_.size())
            fail(Exit::plugin, "", "used {} as a number, and there is none of that number", handle);
        return handles_[handle];
    }

    const DeviceMatrix& matrix(ht_mat handle) const {
        if (handle == HT_MAT_WEIGHTS) return weights_;
        if (handle == HT_MAT_LEFT && !factors_->left.empty()) return factors_->left;
        if (handle == HT_MAT_RIGHT && !factors_->right.empty()) return factors_->right;
        if (handle < HT_MAT_FIRST || handle - HT_MAT_FIRST >= matrices_.size())
            fail(Exit::plugin, "", "used {} as a matrix, and there is none of that number", handle);
        return matrices_[handle - HT_MAT_FIRST];
    }
    const DeviceMatrix& target(ht_mat handle) const {
        if (handle < HT_MAT_FIRST)
            fail(Exit::plugin, "", "would write to matrix {}, which is read only", handle);
        return matrix(handle);
    }

    static void same_shape(const DeviceMatrix& a, const DeviceMatrix& b, const char* function) {
        if (a.rows != b.rows || a.cols != b.cols)
            fail(Exit::plugin, "", "{} was given matrices of {} x {} and {} x {}", function, a.rows, a.cols,
                 b.rows, b.cols);
    }

    const DeviceMatrix& projected(ht_mat p) const {
        const DeviceMatrix& to = target(p);
        const Shape s = shape();
        if (to.rows != s.p_rows || to.cols != s.p_cols)
            fail(Exit::plugin, "", "used a matrix of {} x {} where the objective's is {} x {}", to.rows,
                 to.cols, s.p_rows, s.p_cols);
        return to;
    }

    Candidate candidate_of(ht_mat a, ht_space space) const {
        if (space != HT_SPACE_VALUES && space != HT_SPACE_STEPS)
            fail(Exit::plugin, "", "{} is no space of numbers", space);
        const DeviceMatrix& at = matrix(a);
        same_shape(weights_, at, "project() or propose()");
        return {at, space};
    }

    Matrix downloaded(const DeviceMatrix& from) {
        Matrix host(from.rows, from.cols);
        stream_.copy(host.data(), from.at(), from.bytes());
        stream_.wait();
        return host;
    }

    // Objectives of the same name share their factors.
    std::shared_ptr<const DeviceFactors> factors_of(const Objective& objective) {
        auto& known = known_factors_[objective.name];
        if (known) return known;
        auto made = std::make_shared<DeviceFactors>();
        if (objective.singular_directions > 0) {
            find_directions(objective.singular_directions, *made);
        } else if (objective.factors) {
            upload(objective.factors->left, made->left);
            upload(objective.factors->right, made->right);
            made->orthonormal = objective.factors->orthonormal;
        }
        stream_.wait();
        return known = std::move(made);
    }

    void upload(const Matrix& from, DeviceMatrix& to) {
        if (from.empty()) return;
        to = DeviceMatrix(device_, from.rows(), from.cols());
        to.upload(stream_, from.data());
    }

    void find_directions(uint64_t rank, DeviceFactors& to) {
        to.left = DeviceMatrix(device_, rank, rows_);
        to.right = DeviceMatrix(device_, cols_, rank);
        to.orthonormal = true;
        const DeviceBuffer status(device_, sizeof(int32_t));
        constexpr uint32_t extra = 10, rounds = 4;  // as on the CPU
        stream_.svd({sizeof(ht_linear_svd), static_cast<uint32_t>(rank), extra, rounds, rows_, cols_,
                     weights_.at(), to.left.at(), nullptr, to.right.at(), status.as<int32_t>(), task_.seed});
        if (read_status(status) == 0) return;
        const TruncatedSvd svd = truncated_svd(task_.weights, rank, task_.seed);
        upload(svd.left, to.left);
        upload(svd.right, to.right);
        stream_.wait();
    }

    int32_t read_status(const DeviceBuffer& status) {
        int32_t value = 0;
        stream_.copy(&value, status.data(), sizeof value);
        stream_.wait();
        return value;
    }

    bool factor_here(int32_t what, const DeviceMatrix& from, const DeviceMatrix& to) {
        const DeviceBuffer status(device_, sizeof(int32_t));
        try {
            stream_.factor({sizeof(ht_linear_factor), what, from.rows, from.cols, from.at(), to.at(),
                            status.as<int32_t>()});
        } catch (const DeviceFailure& failure) {
            if (failure.kind() != DeviceFailure::Kind::refused) throw;
            return false;
        }
        return read_status(status) == 0;
    }

    // ------------------------------------------------------------------------------------- values of bands

    ht_region region_of(uint64_t row, uint64_t n) const { return {row, 0, n, cols_}; }
    ht_view view_of_band(float* band) const { return {band, static_cast<int64_t>(cols_), 1}; }

    DeviceMatrix& wanted(DeviceMatrix& matrix) const {
        if (matrix.empty()) matrix = DeviceMatrix(device_, band_rows_, cols_);
        return matrix;
    }

    void value_band(const Candidate& candidate, uint64_t row, uint64_t n, float* out) {
        if (candidate.space == HT_SPACE_VALUES)
            return stream_.copy(out, candidate.at.at(row), n * cols_ * sizeof(float));
        DeviceMatrix& sigma = wanted(sigma_);
        grid_->device.snap(stream_, region_of(row, n), weights_.view(row), view_of_band(out));
        grid_->device.sigma(stream_, region_of(row, n), sigma.view());
        const ht_steps_args args{sizeof(ht_steps_args), 0,          n * cols_, out,
                                 candidate.at.at(row),  sigma.at(), out};
        stream_.launch(device_->common(), "steps", blocks_for(*device_, args.n), args);
    }

    void stored_band(const Candidate& candidate, uint64_t row, uint64_t n, float* out) {
        const bool values = candidate.space == HT_SPACE_VALUES;
        if (!values) value_band(candidate, row, n, out);
        grid_->device.snap(stream_, region_of(row, n), values ? candidate.at.view(row) : view_of_band(out),
                           view_of_band(out));
    }

    // --------------------------------------------------------------------------------- judging and keeping

    // Fills scores_; p = A (stored - W) B of the objective, and its squared norm.
    void score(const Candidate& candidate, float* p, double* loss) {
        const auto make = [&](uint64_t row, uint64_t n, float* band) {
            stored_band(candidate, row, n, band);
            float* nearest = nullptr;
            if (task_.trace) {
                nearest = wanted(nearest_).at();
                grid_->device.snap(stream_, region_of(row, n), weights_.view(row), view_of_band(nearest));
            }
            sums_.run(stream_,
                      {.n = n * cols_,
                       .value = band,
                       .weights = weights_.at(row),
                       .nearest = nearest,
                       .error = band},
                      row > 0, scores_, changed_);
        };
        projection_->project(stream_, make, band_.at(), p);
        const Shape s = shape();
        sums_.run(stream_, {.n = s.p_rows * s.p_cols, .value = p}, false, loss);
        double* const own_loss = scores_ + terms_ + 1;
        if (loss != own_loss) stream_.copy(own_loss, loss, sizeof(double));
        for (uint64_t i = 0; i < terms_; ++i)
            score_term(i, candidate);
    }

    void score_term(uint64_t i, const Candidate& candidate) {
        const DeviceFactors& factors = *term_factors_[i];
        double* const to = scores_ + 1 + i;
        if (&factors == factors_.get()) return stream_.copy(to, scores_ + terms_ + 1, sizeof(double));
        if (factors.left.empty() && factors.right.empty()) return stream_.copy(to, scores_, sizeof(double));
        const DeviceMatrix p(device_, factors.p_rows(rows_), factors.p_cols(cols_));
        DeviceProjection projection(device_, factors, rows_, cols_, band_rows_, one_, zero_);
        projection.project(
            stream_,
            [&](uint64_t row, uint64_t n, float* band) {
                stored_band(candidate, row, n, band);
                sums_.run(stream_,
                          {.n = n * cols_,
                           .value = band,
                           .weights = weights_.at(row),
                           .nearest = nullptr,
                           .error = band},
                          false, ignored_);
            },
            band_.at(), p.at());
        sums_.run(stream_, {.n = p.size(), .value = p.at()}, false, to);
    }

    // Judged and kept on the device: the host does not learn how it went before finish().
    void offer(const Candidate& candidate, float* p, double* loss) {
        score(candidate, p, loss);
        ++candidates_;
        ht_judge_args judge{};
        judge.size = sizeof judge;
        judge.n_terms = static_cast<uint32_t>(terms_ + 1);  // the last is the loss, for the record
        judge.cap = task_.judge.squared_error_cap;
        for (uint64_t i = 0; i < terms_; ++i)
            judge.weights[i] = task_.judge.terms[i].weight;
        judge.scores = scores_;
        judge.nearest = nearest_scores_;
        judge.best = best_scores_;
        judge.kept = kept_;
        judge.improved = improved_;
        judge.generation = static_cast<double>((grids_.size() - 1) * 2 + (candidate.space == HT_SPACE_STEPS));
        judge.best_generation = best_form_;
        stream_.launch(device_->common(), "judge", 1, judge);
        const ht_keep_args keep{sizeof(ht_keep_args), 0, rows_ * cols_, kept_, candidate.at.at(), best_.at()};
        stream_.launch(device_->common(), "keep", blocks_for(*device_, keep.n), keep);
        if (task_.trace) note_candidate();
    }

    // ------------------------------------------------------------------------------------------ operations

    void give_wanted(uint32_t wants, ht_op_args& args) {
        const ht_region region = region_of(args.row, args.rows);
        if (wants & HT_OP_GRADIENT) {
            projection_->lift(stream_, args.row, args.rows, one_, zero_, band_.at(), HT_GEMM_FLOAT32);
            args.gradient = band_.at();
        }
        if (wants & HT_OP_SIGMA) {
            args.sigma = wanted(sigma_).at();
            grid_->device.sigma(stream_, region, sigma_.view());
        }
        if (wants & HT_OP_NEAREST) {
            args.nearest = wanted(nearest_).at();
            grid_->device.snap(stream_, region, weights_.view(args.row), nearest_.view());
        }
        if (wants & HT_OP_AROUND) {
            args.lo = wanted(lo_).at();
            args.hi = wanted(hi_).at();
            grid_->device.around(stream_, region, {args.mats[0], args.strides[0], 1}, lo_.view(), hi_.view());
        }
    }

    void run_operation(const ht_op& op, void* module, ht_op_args& args) {
        constexpr uint64_t sum_blocks = 512;
        if (op.kind != HT_OP_SUM)
            return stream_.launch(module, op.name, std::min<uint64_t>(args.rows, 1u << 16), args);
        if (args.n_nums == 0) return;
        const uint64_t bytes = sum_blocks * args.n_nums * sizeof(double);
        op_sums_.grow(device_, bytes);
        stream_.fill(op_sums_.data(), 0, bytes);
        args.sums = op_sums_.as<double>();
        stream_.launch(module, op.name, sum_blocks, args);
        for (uint32_t i = 0; i < args.n_nums; ++i) {
            const ht_fold_args fold{sizeof(ht_fold_args), 1,           sum_blocks, args.n_nums,
                                    args.sums + i,        args.nums[i]};
            stream_.launch(device_->common(), "fold", 1, fold);
        }
    }

    // ---------------------------------------------------------------------------------------- what is kept

    Measured measured(const double* scores) {
        std::vector<double> numbers(terms_ + 2);
        stream_.copy(numbers.data(), scores, numbers.size() * sizeof(double));
        stream_.wait();
        Measured result;
        result.squared_error = numbers.front();
        result.loss = numbers.back();
        result.terms.assign(numbers.begin() + 1, numbers.end() - 1);
        return result;
    }

    // The bytes that are stored, and the squared error of what decode() makes of them.
    double encode(const Candidate& candidate, OwnGrid& own, AlignedBytes& codes) {
        const bool here = own.device.has("encode") && own.device.has("decode");
        DeviceBuffer bytes;
        double error = 0;
        for (uint64_t row = 0; row < rows_; row += band_rows_) {
            const uint64_t n = std::min(band_rows_, rows_ - row);
            const ht_region region = region_of(row, n);
            const auto to = codes.bytes().subspan(format_.band_offset(row), format_.band_bytes(row, n));
            value_band(candidate, row, n, band_.at());
            if (here) {
                bytes.grow(device_, to.size());
                own.device.encode(stream_, region, band_.view(), bytes.data());
                own.device.decode(stream_, region, bytes.data(), band_.view());
                sums_.run(stream_, {.n = n * cols_, .value = band_.at(), .weights = weights_.at(row)},
                          row > 0, ignored_);
                staged_.download(stream_, to.data(), bytes.data(), to.size());
            } else {
                Matrix values(n, cols_);
                staged_.download(stream_, values.data(), band_.at(), n * cols_ * sizeof(float));
                encode_on_cpu(region, values, own.host, to, error);
            }
        }
        return here ? numbers_.read(stream_, ignored_) : error;
    }

    void encode_on_cpu(const ht_region& region, Matrix& values, const Grid& grid, std::span<std::byte> to,
                       double& error) {
        const uint64_t most = rows_of_a_band(format_);
        std::vector<double> squares(pieces(region.rows, most));
        const uint64_t before = format_.band_offset(region.row);
        each_tile(squares.size(), [&](uint64_t i) {
            const uint64_t from = i * most, n = std::min(most, region.rows - from), row = region.row + from;
            const MatrixView band = values.view().block(from, 0, n, cols_);
            const auto bytes = to.subspan(format_.band_offset(row) - before, format_.band_bytes(row, n));
            format_.encode(grid, region_of(row, n), view_of(band), bytes);
            format_.decode(grid, region_of(row, n), bytes, view_of(band));
            for (uint64_t r = 0; r < n; ++r)
                for (uint64_t j = 0; j < cols_; ++j) {
                    const double e = static_cast<double>(band.row(r)[j]) -
                                     static_cast<double>(task_.weights.view().row(row + r)[j]);
                    squares[i] += e * e;
                }
        });
        for (const double one : squares)
            error += one;
    }

    // The candidate was judged by snap(); what is handed over is what decode() makes of its bytes.
    void check(double stored, double told) const {
        if (std::fabs(stored - told) <= 1e-6 * std::max(stored, told)) return;
        fail(Exit::plugin, format_.plugin(),
             "its stored bytes are not what its snap() told: a squared error of {:g} was judged, and {:g} is "
             "stored",
             told, stored);
    }

    // ------------------------------------------------------------------------------------ phases and trace

    void end_phase(const char* name) {
        const auto now = std::chrono::steady_clock::now();
        phases_[name] = std::chrono::duration<double>(now - start_).count();
        start_ = now;
    }

    void begin_row() {
        if (task_.trace) trace_.emplace_back();
    }
    void note_candidate() {
        const Measured now = measured(scores_), nearest = measured(nearest_scores_);
        note("stored_loss", std::sqrt(now.loss));
        note("squared_error", now.squared_error / nearest.squared_error);
        note("codes_changed", numbers_.read(stream_, changed_));
        note("kept", numbers_.read(stream_, kept_));
        note("seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
    }
    void note(std::string_view name, double value) {
        if (trace_.empty()) trace_.emplace_back();
        trace_.back()[std::string(name)] = value;
    }

    const RoundingTask& task_;
    const FormatPlan& format_;
    std::shared_ptr<Device> device_;
    const ht_kernels* kernels_;
    DeviceStream stream_;
    DeviceNumbers numbers_;
    SquaredSums sums_;
    StagedCopies staged_;
    const uint64_t rows_, cols_, band_rows_;
    DeviceMatrix weights_, best_, band_, nearest_p_, sigma_, nearest_, lo_, hi_;
    DeviceBuffer op_sums_;
    uint32_t large_left_;
    double *one_, *zero_, *ignored_, *changed_, *kept_, *improved_;
    double* best_form_;  // of the best: the grid's number times 2, plus 1 if it is in steps
    const uint64_t terms_;
    double *scores_ = nullptr, *nearest_scores_ = nullptr, *best_scores_ = nullptr;
    std::deque<OwnGrid> grids_;  // the first and what refit() made
    OwnGrid* grid_ = nullptr;
    std::map<std::string, std::shared_ptr<const DeviceFactors>, std::less<>> known_factors_;
    std::shared_ptr<const DeviceFactors> factors_;
    std::vector<std::shared_ptr<const DeviceFactors>> term_factors_;
    std::optional<DeviceProjection> projection_;
    std::deque<DeviceMatrix> matrices_;
    std::vector<double*> handles_;
    const double* stop_flag_ = nullptr;
    bool stopped_ = false;
    uint64_t stops_ = 0, candidates_ = 0;
    std::vector<TraceRow> trace_;
    std::map<std::string, double> phases_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();  // of the phase
};

const ht_kernels* kernels_of(const Optimizer& optimizer) {
    return static_cast<const ht_kernels*>(optimizer.extension(HT_OPTIMIZER_KERNELS));
}

}  // namespace

std::string why_not_on_device(const RoundingTask& task, const Optimizer& optimizer) {
    const FormatPlan& format = *task.format;
    if (!format.kernels("snap") && !format.table(*task.grid))
        return format.plugin() + " has neither kernels nor a table";
    const ht_kernels* const kernels = kernels_of(optimizer);
    for (const ht_op* op : optimizer.operations()) {
        if (!kernels || !kernels->serves(nullptr, op->name))
            return fmt::format("{} has no kernel for '{}'", optimizer.library().name(), op->name);
        if ((op->wants & HT_OP_AROUND) && !format.kernels("around"))
            return fmt::format("{} has no kernel for around()", format.plugin());
    }
    return "";
}

std::unique_ptr<Problem> make_device_problem(const RoundingTask& task, std::shared_ptr<Device> device,
                                             const Optimizer& optimizer) {
    return std::make_unique<DeviceProblem>(task, std::move(device), kernels_of(optimizer));
}

}  // namespace halftone
