// The functions on a sealed grid: snap, sigma, around, table.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <thread>

#include "plugins/conformance/canvas.hpp"
#include "plugins/conformance/trial.hpp"

namespace halftone::conformance {

namespace {

Matrix snap(const Trial& trial, const Grid& grid, const Matrix& x) {
    Matrix result(x.rows, x.cols);
    trial.plan->snap(grid, x.region(), x.view(), result.view());
    return result;
}

struct Neighbours {
    Matrix lo, hi;
};
Neighbours around(const Trial& trial, const Grid& grid, const Matrix& x) {
    Neighbours result{Matrix(x.rows, x.cols), Matrix(x.rows, x.cols)};
    trial.plan->around(grid, x.region(), x.view(), result.lo.view(), result.hi.view());
    return result;
}

Matrix sigma(const Trial& trial, const Grid& grid) {
    Matrix result(trial.matrix.rows, trial.matrix.cols);
    trial.plan->sigma(grid, result.region(), result.view());
    return result;
}

std::string place(const Matrix& matrix, size_t i) {
    return fmt::format("row {}, column {}", i / matrix.cols, i % matrix.cols);
}

Outcome snapping(Trial& trial) {
    const Grid& grid = trial.written.grid;
    for (const Matrix& x : trial.probes()) {
        std::vector<std::byte> bytes(trial.plan->weight_bytes());
        trial.plan->encode(grid, x.region(), x.view(), bytes);
        const Matrix expected = trial.decoded(grid, bytes), found = snap(trial, grid, x);
        for (size_t i = 0; i < x.values.size(); ++i)
            if (!same_bits(found.values[i], expected.values[i]))
                broken("snap() of {} at {} gives {}, decode(encode()) {}", number(x.values[i]), place(x, i),
                       number(found.values[i]), number(expected.values[i]));
    }
    return Outcome::ok;
}

Outcome fixed_points(Trial& trial) {
    if (trial.plan->facts().flags & HT_FACT_NOT_IDEMPOTENT) return Outcome::not_applicable;
    const Matrix again = snap(trial, trial.written.grid, trial.snapped);
    for (size_t i = 0; i < again.values.size(); ++i)
        if (again.values[i] != trial.snapped.values[i])
            broken(
                "snap() of {}, itself a snapped value at {}, gives {}, and HT_FACT_NOT_IDEMPOTENT is not set",
                number(trial.snapped.values[i]), place(again, i), number(again.values[i]));
    return Outcome::ok;
}

ht_region random_region(Random& random, const Matrix& matrix) {
    const uint64_t row = random.below(matrix.rows), col = random.below(matrix.cols);
    return {row, col, 1 + random.below(std::min<uint64_t>(matrix.rows - row, 60)),
            1 + random.below(std::min<uint64_t>(matrix.cols - col, 150))};
}

// A function's result for a region must be the whole's, whatever the view.
void compare(const char* function, const ht_region& r, const Canvas& found, const Matrix& whole) {
    for (uint64_t i = 0; i < r.rows; ++i)
        for (uint64_t j = 0; j < r.cols; ++j)
            if (!same_bits(found.at(i, j), whole.at(r.row + i, r.col + j)))
                broken(
                    "{}() on the region of {} x {} from row {}, column {} gives {} at row {}, column {} of "
                    "the "
                    "matrix, on the whole matrix {}",
                    function, r.rows, r.cols, r.row, r.col, number(found.at(i, j)), r.row + i, r.col + j,
                    number(whole.at(r.row + i, r.col + j)));
    if (!found.untouched_between())
        broken("{}() on the region of {} x {} from row {}, column {} wrote outside of its view", function,
               r.rows, r.cols, r.row, r.col);
}

Outcome regions(Trial& trial) {
    const FormatPlan& plan = *trial.plan;
    const Grid& grid = trial.written.grid;
    const Matrix x = trial.probes()[trial.random.below(4)];
    const Matrix snapped = snap(trial, grid, x), slope = sigma(trial, grid);
    const Neighbours whole = around(trial, grid, x);
    for (int round = 0; round < 12; ++round) {
        const ht_region r = random_region(trial.random, x);
        const auto canvas = [&] { return Canvas(r.rows, r.cols, trial.random.below(Canvas::layouts)); };
        Canvas in = canvas(), out = canvas(), lo = canvas(), hi = canvas();
        in.fill(x, r);
        plan.snap(grid, r, in.view(), out.view());
        compare("snap", r, out, snapped);
        plan.around(grid, r, in.view(), lo.view(), hi.view());
        compare("around", r, lo, whole.lo);
        compare("around", r, hi, whole.hi);
        plan.sigma(grid, r, out.view());
        compare("sigma", r, out, slope);
        plan.snap(grid, r, in.view(), in.view());
        compare("snap (in place)", r, in, snapped);
    }
    return Outcome::ok;
}

// Which scale an element has, by what the facts say.
uint64_t scale_group(const ht_facts& facts, uint64_t cols, uint64_t row, uint64_t col) {
    const auto up = [](uint64_t a, uint64_t b) { return (a + b - 1) / b; };
    switch (facts.scale_kind) {
        case HT_SCALE_ROW:
            return row;
        case HT_SCALE_TILE:
            return row / facts.scale_rows * up(cols, facts.scale_cols) + col / facts.scale_cols;
        case HT_SCALE_RUN:
            return (row * cols + col) / facts.scale_cols;
        default:
            return 0;
    }
}

// Where the value of a code is looked up in the table.
class Table {
  public:
    Table(const Trial& trial, const Grid& grid, const ht_table& table)
        : table_(table), facts_(trial.plan->facts()), rows_(trial.matrix.rows), cols_(trial.matrix.cols) {
        const auto inside = [&](const void* part, uint64_t bytes, const char* name) {
            const auto* const at = static_cast<const std::byte*>(part);
            const bool fits = at && at >= grid.data() && bytes <= facts_.grid_bytes &&
                              static_cast<uint64_t>(at - grid.data()) <= facts_.grid_bytes - bytes;
            if (!fits) broken("table() gives {} that do not lie inside the grid", name);
        };
        const uint64_t levels = uint64_t{table.levels} * table.tables,
                       groups = group(rows_ - 1, cols_ - 1) + 1;
        if (table.levels == 0 || table.tables == 0)
            broken("table() tells of {} tables of {} levels", table.tables, table.levels);
        inside(table.level, levels * sizeof(float), "levels");
        inside(table.upper, levels * sizeof(float), "thresholds");
        inside(table.pre, groups * sizeof(float), "scales (pre)");
        inside(table.post, groups * sizeof(float), "scales (post)");
        if (table.table_of) inside(table.table_of, groups, "table numbers");
        for (uint32_t t = 0; t < table.tables; ++t) {
            const float* const upper = table.upper + uint64_t{t} * table.levels;
            if (!std::is_sorted(upper, upper + table.levels))
                broken("the thresholds of table() do not ascend");
            if (upper[table.levels - 1] != INFINITY) broken("the last threshold of table() is not infinity");
        }
        if (table.table_of && std::any_of(table.table_of, table.table_of + groups,
                                          [&](uint8_t t) { return t >= table.tables; }))
            broken("table() picks a table of levels that is none");
    }

    uint64_t group(uint64_t row, uint64_t col) const { return scale_group(facts_, cols_, row, col); }
    const float* levels(uint64_t g) const {
        return table_.level + (table_.table_of ? uint64_t{table_.table_of[g]} * table_.levels : 0);
    }
    const float* upper(uint64_t g) const { return table_.upper + (levels(g) - table_.level); }
    uint32_t code(uint64_t g, float x) const {
        const float t = table_.divide ? x / table_.pre[g] : x * table_.pre[g];
        const float* const first = upper(g);
        return static_cast<uint32_t>(
            std::find_if(first, first + table_.levels - 1, [&](float u) { return t <= u; }) - first);
    }
    float value(uint64_t g, uint32_t code) const { return levels(g)[code] * table_.post[g]; }
    // The last level with this value; size() if it is none's.
    uint32_t index_of(uint64_t g, float value) const {
        for (uint32_t i = table_.levels; i-- > 0;)
            if (levels(g)[i] * table_.post[g] == value) return i;
        return table_.levels;
    }
    // A number that lies at a threshold, or as near as dividing gets.
    float threshold(uint64_t g, uint64_t which) const {
        const float t = upper(g)[which % table_.levels];
        return table_.divide ? t * table_.pre[g] : t / table_.pre[g];
    }
    uint32_t size() const { return table_.levels; }

  private:
    ht_table table_;
    const ht_facts& facts_;
    uint64_t rows_, cols_;
};

std::unique_ptr<const Table> table_of(const Trial& trial, const Grid& grid) {
    const auto table = trial.plan->table(grid);
    return table ? std::make_unique<const Table>(trial, grid, *table) : nullptr;
}

Outcome tabulated(Trial& trial) {
    const Grid& grid = trial.written.grid;
    const auto table = table_of(trial, grid);
    if (!table) return Outcome::not_applicable;
    std::vector<Matrix> all = trial.probes();
    Matrix at_thresholds(trial.matrix.rows, trial.matrix.cols);
    for (size_t i = 0; i < at_thresholds.values.size(); ++i) {
        const uint64_t g = table->group(i / trial.matrix.cols, i % trial.matrix.cols);
        float x = table->threshold(g, trial.random.below(table->size()));
        if (trial.random.one_in(2)) x = std::nextafter(x, trial.random.one_in(2) ? FLT_MAX : -FLT_MAX);
        at_thresholds.values[i] = std::isfinite(x) ? x : trial.matrix.values[i];
    }
    all.push_back(std::move(at_thresholds));
    for (const Matrix& x : all) {
        const Matrix snapped = snap(trial, grid, x);
        for (size_t i = 0; i < x.values.size(); ++i) {
            const uint64_t g = table->group(i / x.cols, i % x.cols);
            const float expected = table->value(g, table->code(g, x.values[i]));
            if (snapped.values[i] != expected)
                broken("by table(), {} at {} becomes {}, by snap() {}", number(x.values[i]), place(x, i),
                       number(expected), number(snapped.values[i]));
        }
    }
    return Outcome::ok;
}

// What one scale covers moves alike.
void check_groups(const Trial& trial, const Matrix& slope) {
    const ht_facts& facts = trial.plan->facts();
    if (facts.scale_kind == HT_SCALE_NONE) return;
    std::map<uint64_t, size_t> first;
    for (size_t i = 0; i < slope.values.size(); ++i) {
        const size_t other =
            first.try_emplace(scale_group(facts, slope.cols, i / slope.cols, i % slope.cols), i)
                .first->second;
        const float a = slope.values[other], b = slope.values[i];
        if (std::abs(a - b) > 1e-3f * std::max(a, b))
            broken(
                "sigma() gives {} at {} and {} at {}, though by its facts (scale_kind {}) one scale covers "
                "both",
                number(a), place(slope, other), number(b), place(slope, i), facts.scale_kind);
    }
}

// Without a table nothing says what a level is, except where all neighbours are equally far apart: there it
// is that step. Elsewhere it is no more than the largest step and not far below the least.
void check_steps(Trial& trial, const Matrix& slope) {
    constexpr double most_levels_a_step = 256;
    if (trial.plan->facts().scale_kind == HT_SCALE_NONE) return;
    const Matrix x = trial.probes()[2];
    const Neighbours near = around(trial, trial.written.grid, x);
    double least = INFINITY, most = 0;  // steps, in sigmas
    size_t at = 0;
    bool several = false;  // one pair of neighbours shows nothing of the others
    for (size_t i = 0; i < x.values.size(); ++i) {
        several |= near.lo.values[i] != near.lo.values[0];
        const double step = static_cast<double>(near.hi.values[i]) - static_cast<double>(near.lo.values[i]);
        if (!(step > 1e-36)) continue;
        const double levels = step / static_cast<double>(slope.values[i]);
        if (levels < least) at = i;
        least = std::min(least, levels);
        most = std::max(most, levels);
    }
    const bool uneven = !several || most > least * (1 + 1e-3);
    if (most == 0 || (most > 1 - 1e-3 && least < (uneven ? most_levels_a_step : 1 + 1e-3))) return;
    broken(
        "sigma() gives {} at {}, where the neighbours are {} and {}{}; there is no table() that would "
        "explain it",
        number(slope.values[at]), place(slope, at), number(near.lo.values[at]), number(near.hi.values[at]),
        uneven ? "" : ", and all are that far apart");
}

Outcome slopes(Trial& trial) {
    const Grid& grid = trial.written.grid;
    const Matrix slope = sigma(trial, grid);
    for (size_t i = 0; i < slope.values.size(); ++i)
        if (!(slope.values[i] > 0) || !std::isfinite(slope.values[i]))
            broken("sigma() gives {} at {}; it must be finite and > 0", number(slope.values[i]),
                   place(slope, i));
    const auto table = table_of(trial, grid);
    check_groups(trial, slope);
    if (!table) {
        check_steps(trial, slope);
        return Outcome::ok;
    }
    const Matrix x = trial.probes()[2];
    const Neighbours near = around(trial, grid, x);
    for (size_t i = 0; i < x.values.size(); ++i) {
        const double step = static_cast<double>(near.hi.values[i]) - static_cast<double>(near.lo.values[i]);
        const uint64_t g = table->group(i / x.cols, i % x.cols);
        const uint32_t low = table->index_of(g, near.lo.values[i]),
                       high = table->index_of(g, near.hi.values[i]);
        if (!(step > 1e-36) || low == table->size() || high == table->size()) continue;  // nothing to divide
        // Scales below 0, which nested ones may be, turn the order of values around.
        const double gap = std::abs(static_cast<double>(table->levels(g)[high]) -
                                    static_cast<double>(table->levels(g)[low]));
        const double derivative = step / gap;
        if (std::abs(derivative / static_cast<double>(slope.values[i]) - 1) > 1e-3)
            broken("sigma() gives {} at {}, but from {} to {} the value moves by {:.9g} a step of the level",
                   number(slope.values[i]), place(x, i), number(near.lo.values[i]), number(near.hi.values[i]),
                   derivative);
    }
    return Outcome::ok;
}

void check_neighbours(Trial& trial, const Matrix& x, const Neighbours& ends) {
    const Grid& grid = trial.written.grid;
    const Neighbours near = around(trial, grid, x);
    const bool exact = !(trial.plan->facts().flags & HT_FACT_NOT_IDEMPOTENT);
    // Some rules for scales have a least divisor: below it, rounding reaches only the middle of the grid.
    const bool below_all = trial.values == Values::tiny || trial.values == Values::subnormal;
    const auto table = below_all ? table_of(trial, grid) : nullptr;
    const auto on_grid = [&](float value, float snapped_value, size_t i) {
        return !exact || value == snapped_value ||
               (table && table->index_of(table->group(i / x.cols, i % x.cols), value) < table->size());
    };
    const Matrix snapped_lo = snap(trial, grid, near.lo), snapped_hi = snap(trial, grid, near.hi);
    Matrix middle = x;
    for (size_t i = 0; i < x.values.size(); ++i) {
        const float at = x.values[i], lo = near.lo.values[i], hi = near.hi.values[i];
        const auto told = [&] {
            return fmt::format("around() of {} at {} gives {} and {}", number(at), place(x, i), number(lo),
                               number(hi));
        };
        if (!std::isfinite(lo) || !std::isfinite(hi) || !(lo <= hi))
            broken("{}, which is no bracket", told());
        if (lo < hi && !(lo <= at && at <= hi)) broken("{}, which do not bracket it", told());
        if (lo < hi && (lo == at || hi == at)) broken("{}: it lies on the grid, so both must be it", told());
        if (lo == hi && lo != at && !(at > hi && hi == ends.hi.values[i]) &&
            !(at < lo && lo == ends.lo.values[i]))
            broken("{}, which is neither it nor the end of the grid on its side ({} or {})", told(),
                   number(ends.lo.values[i]), number(ends.hi.values[i]));
        if (!on_grid(lo, snapped_lo.values[i], i))
            broken("{}, but the lower one is not on the grid: snap() makes it {}", told(),
                   number(snapped_lo.values[i]));
        if (!on_grid(hi, snapped_hi.values[i], i))
            broken("{}, but the upper one is not on the grid: snap() makes it {}", told(),
                   number(snapped_hi.values[i]));
        const float between = lo + (hi - lo) / 2;
        if (between > lo && between < hi) middle.values[i] = between;
    }
    const Neighbours of_middle = around(trial, grid, middle);
    for (size_t i = 0; i < x.values.size(); ++i)
        if (near.lo.values[i] < near.hi.values[i] && middle.values[i] > near.lo.values[i] &&
            middle.values[i] < near.hi.values[i] &&
            (of_middle.lo.values[i] != near.lo.values[i] || of_middle.hi.values[i] != near.hi.values[i]))
            broken("around() of {} at {} gives {} and {}, but of {} between them {} and {}",
                   number(x.values[i]), place(x, i), number(near.lo.values[i]), number(near.hi.values[i]),
                   number(middle.values[i]), number(of_middle.lo.values[i]), number(of_middle.hi.values[i]));
}

Outcome neighbours(Trial& trial) {
    Matrix least = trial.matrix, most = trial.matrix;
    std::ranges::fill(least.values, -FLT_MAX);
    std::ranges::fill(most.values, FLT_MAX);
    const Neighbours ends{around(trial, trial.written.grid, least).lo,
                          around(trial, trial.written.grid, most).hi};
    for (const Matrix& x : trial.probes())
        check_neighbours(trial, x, ends);
    return Outcome::ok;
}

// All that a grid makes of a matrix.
std::vector<Matrix> everything(const Trial& trial, const Grid& grid, const Matrix& x) {
    Neighbours near = around(trial, grid, x);
    return {snap(trial, grid, x), sigma(trial, grid), trial.decoded(grid, trial.written.weight),
            std::move(near.lo), std::move(near.hi)};
}

bool equal(const std::vector<Matrix>& a, const std::vector<Matrix>& b) {
    return std::ranges::equal(a, b, [](const Matrix& left, const Matrix& right) {
        return std::memcmp(left.values.data(), right.values.data(), left.values.size() * sizeof(float)) == 0;
    });
}

Outcome moved(Trial& trial) {
    const std::vector<Matrix> expected = everything(trial, trial.written.grid, trial.matrix);
    Written other = write(*trial.plan, trial.matrix);
    Grid copy = trial.plan->make_grid();
    const uint64_t size = trial.plan->facts().grid_bytes;
    std::memcpy(copy.data(), other.grid.data(), size);
    std::memset(other.grid.data(), 0xA7, size);  // whoever points back into it will not find it
    if (!equal(expected, everything(trial, copy, trial.matrix)))
        broken("a copy of the grid at another address gives other results: it may hold pointers");
    for (size_t i = 0; i < trial.plan->stored().size(); ++i)
        if (i != trial.plan->weight_index() && trial.plan->companion(copy, i) != trial.written.companions[i])
            broken("a copy of the grid at another address gives another {}", trial.plan->stored()[i].name);
    return Outcome::ok;
}

Outcome threads(Trial& trial) {
    const std::vector<Matrix> expected = everything(trial, trial.written.grid, trial.matrix);
    bool same[4] = {};
    std::exception_ptr failure[4];
    std::vector<std::thread> running;
    for (size_t t = 0; t < std::size(same); ++t)
        running.emplace_back([&, t] {
            try {
                same[t] = equal(expected, everything(trial, trial.written.grid, trial.matrix));
            } catch (...) {
                failure[t] = std::current_exception();
            }
        });
    for (std::thread& one : running)
        one.join();
    for (const std::exception_ptr& one : failure)
        if (one) std::rethrow_exception(one);
    if (!std::ranges::all_of(same, std::identity{}))
        broken("snap(), sigma(), around() and decode() give other results while several threads call them");
    return Outcome::ok;
}

Outcome constant(Trial& trial) {
    Written fresh = write(*trial.plan, trial.matrix);
    std::vector<std::byte> before(fresh.grid.data(), fresh.grid.data() + trial.plan->facts().grid_bytes);
    everything(trial, fresh.grid, trial.matrix);
    table_of(trial, fresh.grid);
    for (size_t i = 0; i < trial.plan->stored().size(); ++i)
        if (i != trial.plan->weight_index()) trial.plan->companion(fresh.grid, i);
    if (!before.empty() && std::memcmp(before.data(), fresh.grid.data(), before.size()) != 0)
        broken("a function changed the grid after fit_seal()");
    return Outcome::ok;
}

}  // namespace

std::vector<Check> grid_checks() {
    return {{"snap", "snap is decode(encode), bit for bit", snapping},
            {"fixed", "a snapped value stays what it is", fixed_points},
            {"regions", "any region and any view gives what the whole matrix gives", regions},
            {"around", "neighbours bracket, lie on the grid and have none between them", neighbours},
            {"sigma", "slopes are finite, > 0, alike below one scale, and those of the table or the steps",
             slopes},
            {"table", "the table rounds as snap does", tabulated},
            {"moved", "a grid may be copied elsewhere", moved},
            {"threads", "functions on a grid may be called by several threads", threads},
            {"sealed", "nobody writes to a sealed grid", constant}};
}

}  // namespace halftone::conformance
