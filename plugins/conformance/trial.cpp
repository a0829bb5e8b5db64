#include "plugins/conformance/trial.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "core/base/error.hpp"
#include "plugins/call.hpp"
#include "plugins/layouts.hpp"

namespace halftone::conformance {

namespace {

// The first exception of several threads.
class FirstFailure {
  public:
    void keep() {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
    }
    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
    }

  private:
    std::mutex mutex_;
    std::exception_ptr failure_;
};

template <class Work>
void each_band(const Bands& bands, uint64_t rows, uint64_t cols, const Work& work) {
    const size_t n = bands.starts.size();
    const auto one = [&](size_t band) {
        const uint64_t row = bands.starts[band], end = band + 1 < n ? bands.starts[band + 1] : rows;
        if (bands.part_cols == 0) return work(ht_region{row, 0, end - row, cols});
        for (uint64_t i = row; i < end; ++i)
            for (uint64_t j = 0; j < cols; j += bands.part_cols)
                work(ht_region{i, j, 1, std::min(bands.part_cols, cols - j)});
    };
    if (bands.threads == 1) {
        for (size_t band = 0; band < n; ++band)
            one(band);
        return;
    }
    std::atomic<size_t> next = 0;
    FirstFailure failure;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < bands.threads; ++i)
        threads.emplace_back([&] {
            try {
                for (size_t turn = next++; turn < n; turn = next++)
                    one(turn % 2 ? n - 1 - turn / 2 : turn / 2);  // from both ends: no order to rely on
            } catch (...) {
                failure.keep();
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    failure.rethrow();
}

const char* dtype_name(ht_dtype dtype) {
    return dtype == HT_DTYPE_BF16  ? "BF16"
           : dtype == HT_DTYPE_F16 ? "F16"
           : dtype == HT_DTYPE_F64 ? "F64"
                                   : "F32";
}

}  // namespace

Bands random_bands(Random& random, const FormatPlan& plan) {
    const uint64_t step = plan.facts().granule_rows, rows = plan.source().rows;
    Bands bands;
    bands.threads = random.one_in(2) ? 1 : 4;
    const uint64_t sparseness = 1 + random.below(4);
    for (uint64_t row = step; row < rows; row += step)
        if (random.one_in(sparseness)) bands.starts.push_back(row);
    const uint64_t piece = plan.facts().piece_cols, pieces = piece ? plan.source().cols / piece : 0;
    if (pieces > 0 && random.one_in(2)) bands.part_cols = piece * (1 + random.below(pieces));
    bands.folds_each = (plan.facts().flags & HT_FACT_FOLDS_IN_PARTS) && random.one_in(2);
    return bands;
}

Written write(const FormatPlan& plan, const Matrix& matrix, const Writing& how) {
    const ht_facts& facts = plan.facts();
    Written written{plan.make_grid(), std::vector<std::byte>(plan.weight_bytes(), how.fill), {}};
    const bool early = facts.flags & HT_FACT_ENCODE_BEFORE_SEAL;
    const uint64_t granules = (matrix.rows + facts.granule_rows - 1) / facts.granule_rows;
    const auto bands = [&](const auto& work) { each_band(how.bands, matrix.rows, matrix.cols, work); };
    const auto view_of = [&](const ht_region& region) {
        ht_view view = matrix.view(region.row);
        view.at += static_cast<int64_t>(region.col) * view.col_stride;
        return view;
    };
    const auto encode = [&](const ht_region& region) {
        const auto band =
            std::span(written.weight).subspan(plan.band_offset(region), plan.band_bytes(region));
        plan.encode(written.grid, region, view_of(region), band);
    };
    for (uint32_t pass = 0; pass < facts.passes; ++pass) {
        AlignedBytes partials(granules * facts.partial_bytes);
        bands([&](const ht_region& region) {
            plan.fit_pass(pass, region, view_of(region), how.column_weight, written.grid,
                          partials.data() + region.row / facts.granule_rows * facts.partial_bytes);
        });
        if (how.bands.folds_each)
            for (uint64_t i = 0; i < granules; ++i)
                plan.fit_fold(pass, partials.bytes().subspan(i * facts.partial_bytes, facts.partial_bytes), 1,
                              written.grid);
        else
            plan.fit_fold(pass, partials.bytes(), granules, written.grid);
    }
    bands([&](const ht_region& region) {
        plan.fit_band(region, view_of(region), how.column_weight, written.grid);
        if (early) encode(region);
    });
    plan.fit_seal(written.grid);
    if (!early) bands(encode);
    for (size_t i = 0; i < plan.stored().size(); ++i) {
        auto& bytes = written.companions.emplace_back();
        if (i == plan.weight_index()) continue;
        bytes.assign(plan.stored()[i].bytes, how.fill);
        plan.companion(written.grid, i, bytes);
    }
    return written;
}

Grid Trial::copy_of_grid() const {
    Grid copy = plan->make_grid();
    std::memcpy(copy.data(), written.grid.data(), plan->facts().grid_bytes);
    return copy;
}

Matrix Trial::decoded(const Grid& grid, const std::vector<std::byte>& weight) const {
    Matrix values(matrix.rows, matrix.cols);
    plan->decode(grid, matrix.region(), weight, values.view());
    return values;
}

std::vector<Matrix> Trial::probes() {
    std::vector<Matrix> all = {matrix, snapped, Matrix(matrix.rows, matrix.cols),
                               Matrix(matrix.rows, matrix.cols)};
    for (size_t i = 0; i < matrix.values.size(); ++i) {
        // Beside values of the grid and between them; then whatever there is.
        const float on = snapped.values[i], x = matrix.values[i];
        all[2].values[i] = random.one_in(2) ? std::nextafter(on, random.one_in(2) ? FLT_MAX : -FLT_MAX)
                                            : on + (x - on) * static_cast<float>(4 * random.uniform() - 2);
        static constexpr float extremes[] = {0.0f,        -0.0f,        FLT_MIN, -FLT_TRUE_MIN,
                                             FLT_MAX / 2, -FLT_MAX / 2, 1.0f};
        all[3].values[i] = random.one_in(3) ? extremes[random.below(std::size(extremes))]
                                            : 1.5f * (on - x) + x * random.normal();
    }
    for (Matrix& one : all)
        for (float& x : one.values)
            if (!std::isfinite(x)) x = FLT_MAX / 2;
    return all;
}

std::string circumstances(const MatrixSource& source, const OptionValues& options) {
    const std::string given = options.summary();
    return fmt::format("{} x {}, {}, {} layout, {}", source.rows, source.cols, dtype_name(source.dtype),
                       layout_name(source.dialect), given.empty() ? "default options" : given);
}

std::string Trial::circumstances() const {
    return fmt::format("{}, {} values", conformance::circumstances(source, options), name_of(values));
}

MatrixSource source_of(Shape shape, ht_dtype dtype, ht_dialect dialect) {
    MatrixSource source;
    source.dtype = dtype;
    source.dialect = dialect;
    source.shape = {shape.rows, shape.cols};
    source.rows = shape.rows;
    source.cols = shape.cols;
    return source;
}

Trial make_trial(const Format& format, const MatrixSource& source, const GivenOptions& given, Values values,
                 Random random) {
    const PluginLibrary& library = format.library();
    Trial trial{format,  source, OptionValues::resolve(library.options(), given, library.name()),
                nullptr, values, {},
                {},      {},     {},
                random};
    trial.plan = format.prepare(source, trial.options);
    trial.drawn = draw(trial.random, {source.rows, source.cols}, values, source.dtype);
    // Sums of a row's numbers are to stay finite.
    if (values == Values::huge && trial.plan->facts().flags & HT_FACT_ROTATES)
        for (float& x : trial.drawn.values)
            x = std::ldexp(x, -24);
    trial.matrix = trial.drawn;
    trial.plan->rotate(false, trial.matrix.view(), source.rows);
    try {
        trial.written = write(*trial.plan, trial.matrix);
    } catch (const Refusal& refusal) {  // once there is a plan, it is too late to say no
        fail(Exit::plugin, library.culprit(), "prepare() took the matrix, but then a function refused: {}",
             refusal.what());
    }
    trial.snapped = trial.decoded(trial.written.grid, trial.written.weight);
    return trial;
}

std::string number(float x) {
    return fmt::format("{} ({:#010x})", x, std::bit_cast<uint32_t>(x));
}

bool same_bits(float a, float b) {
    return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

std::string first_difference(const FormatPlan& plan, const Written& a, const Written& b) {
    for (size_t i = 0; i < plan.stored().size(); ++i) {
        const bool weight = i == plan.weight_index();
        const auto &left = weight ? a.weight : a.companions[i], &right = weight ? b.weight : b.companions[i];
        const auto [at, other] = std::ranges::mismatch(left, right);
        if (at != left.end())
            return fmt::format("byte {} of {}: {:#04x} and {:#04x}", at - left.begin(), plan.stored()[i].name,
                               static_cast<unsigned>(*at), static_cast<unsigned>(*other));
    }
    return {};
}

}  // namespace halftone::conformance
