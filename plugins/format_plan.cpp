#include <algorithm>

#include "core/base/error.hpp"
#include "plugins/abi_copy.hpp"
#include "plugins/call.hpp"
#include "plugins/format.hpp"
#include "plugins/guard_bytes.hpp"
#include "plugins/json_sink.hpp"
#include "plugins/late_refusal.hpp"

namespace halftone {
namespace {

constexpr const char* full_precision_key = "full_precision_matrix_mult";

// For functions that come after the plan.
template <class Work>
void refuse_late(const std::string& plugin, const char* function, const Work& work) {
    try {
        work();
    } catch (const Refusal& refusal) {
        throw LateRefusal(plugin, std::string(function) + " refused it", refusal.what());
    }
}

// What is small against the weights is watched in every run.
Watch at_least_guarded(Watch watch) {
    return watch == Watch::no ? Watch::yes : watch;
}

}  // namespace

FormatPlan::~FormatPlan() {
    if (!plan_) return;
    try {
        call(library_->culprit(), "release()", table_.release, plan_);
    } catch (const Error&) {  // the mode is restored; an error cannot leave a destructor
    }
}

Json FormatPlan::description() const {
    const auto told = [&] {
        return json_from_sink(library_->culprit(), [&](const ht_json* sink) {
            try {
                call_checked(library_->culprit(), "describe()", table_.describe, plan_, sink);
            } catch (const Refusal& refusal) {
                fail(Exit::plugin, library_->culprit(), "describe() refused: {}", refusal.what());
            }
        });
    };
    Json description = told();
    const bool named = !description.empty() && description.begin().key() == "format" &&
                       description.begin().value().is_string();
    if (!named && !description.empty())
        fail(Exit::plugin, library_->culprit(), "its description does not start with \"format\": {}",
             description.dump());
    if (watch_ != Watch::no && description != told())
        fail(Exit::plugin, library_->culprit(), "describe() said something else when asked again");
    // Of the host, so that no format can leave it out: loaders look for it whatever the label.
    if ((source_.wants & HT_WANTS_FULL_PRECISION_MM) && named) description[full_precision_key] = true;
    if (source_.experts > 1 && named) description["num_experts"] = source_.experts;
    return description;
}

void FormatPlan::check_grid(const Grid& grid, const char* function) const {
    if (grid.size() > facts_.grid_bytes && !guard_is_whole(grid.bytes().subspan(facts_.grid_bytes)))
        blame(library_->culprit(), function, "after", facts_.grid_bytes);
}

Grid FormatPlan::make_grid() const {
    Grid grid =
        watch_ == Watch::fenced ? fenced_bytes(facts_.grid_bytes) : Grid(facts_.grid_bytes + guard_size);
    fill_guard(grid.bytes().subspan(facts_.grid_bytes));
    call(library_->culprit(), "begin()", table_.begin, plan_, grid.data());
    check_grid(grid, "begin");
    return grid;
}

void FormatPlan::rotate(bool back, const ht_view& view, uint64_t rows) const {
    if (facts_.flags & HT_FACT_ROTATES)
        call(library_->culprit(), "rotate()", table_.rotate, plan_, back ? 1 : 0, &view, rows);
}

void FormatPlan::fit_pass(uint32_t pass, const ht_region& region, const ht_view& view, const float* weight,
                          const Grid& grid, std::byte* partials) const {
    const uint64_t granules = (region.rows + facts_.granule_rows - 1) / facts_.granule_rows;
    const std::span slots(partials, static_cast<size_t>(granules * facts_.partial_bytes));
    write_guarded(at_least_guarded(watch_), slots, library_->culprit(), "fit_pass", [&](std::byte* out) {
        call(library_->culprit(), "fit_pass()", table_.fit_pass, plan_, pass, &region, &view, weight,
             static_cast<const void*>(grid.data()), out);
    });
}

void FormatPlan::fit_fold(uint32_t pass, std::span<const std::byte> partials, uint64_t n, Grid& grid) const {
    read_guarded(watch_, partials, library_->culprit(), "fit_fold", [&](const std::byte* slots) {
        refuse_late(plugin_, "fit_fold()", [&] {
            call_checked(library_->culprit(), "fit_fold()", table_.fit_fold, plan_, pass,
                         static_cast<const void*>(slots), n, grid.data());
        });
    });
    check_grid(grid, "fit_fold");
}

void FormatPlan::fit_band(const ht_region& region, const ht_view& view, const float* weight,
                          Grid& grid) const {
    if (!table_.fit_band) return;
    call(library_->culprit(), "fit_band()", table_.fit_band, plan_, &region, &view, weight, grid.data());
    check_grid(grid, "fit_band");
}

void FormatPlan::fit_seal(Grid& grid) const {
    if (!table_.fit_seal) return;
    refuse_late(plugin_, "fit_seal()", [&] {
        call_checked(library_->culprit(), "fit_seal()", table_.fit_seal, plan_, grid.data());
    });
    check_grid(grid, "fit_seal");
}

void FormatPlan::load(std::span<const uint8_t* const> companions, Grid& grid) const {
    if (companions.size() != stored_.size())
        fail(Exit::failed, library_->culprit(), "load() needs {} companions, not {}", stored_.size(),
             companions.size());
    std::vector<std::unique_ptr<WatchedCopy>> copies;
    std::vector<const uint8_t*> given(companions.begin(), companions.end());
    if (watch_ == Watch::fenced)
        for (size_t i = 0; i < given.size(); ++i)
            if (given[i]) {
                const std::span bytes(reinterpret_cast<const std::byte*>(given[i]), stored_[i].bytes);
                copies.push_back(std::make_unique<WatchedCopy>(watch_, bytes));
                given[i] = reinterpret_cast<const uint8_t*>(copies.back()->data());
            }
    call_checked(library_->culprit(), "load()", table_.load, plan_,
                 static_cast<const uint8_t* const*>(given.data()), grid.data());
    for (const auto& copy : copies)
        copy->check(library_->culprit(), "load");
    check_grid(grid, "load");
}

void FormatPlan::check_band(const ht_region& region, size_t bytes) const {
    const bool inside = region.rows <= source_.rows && region.row <= source_.rows - region.rows &&
                        region.cols <= source_.cols && region.col <= source_.cols - region.cols;
    const auto is_cut_at = [](uint64_t at, uint64_t granule, uint64_t end) {
        return at == end || (granule != 0 && at % granule == 0);
    };
    const bool whole_rows = region.cols == source_.cols;
    const bool is_band =
        inside && region.row % facts_.granule_rows == 0 &&
        is_cut_at(region.row + region.rows, facts_.granule_rows, source_.rows) &&
        (whole_rows || (region.rows == 1 && is_cut_at(region.col, facts_.piece_cols, source_.cols) &&
                        is_cut_at(region.col + region.cols, facts_.piece_cols, source_.cols)));
    if (!is_band || bytes != band_bytes(region))
        fail(Exit::failed, library_->culprit(),
             "was given a band that is none: rows {} to {}, columns {} to {}, {} bytes", region.row,
             region.row + region.rows, region.col, region.col + region.cols, bytes);
}

void FormatPlan::encode(const Grid& grid, const ht_region& region, const ht_view& view,
                        std::span<std::byte> band) const {
    const size_t around = band.size() == band_bytes(region) + 2 * guard_size ? guard_size : 0;
    const uint64_t bytes = band.size() - 2 * around;
    check_band(region, bytes);
    const std::span<std::byte> before = band.first(around), after = band.last(around);
    fill_guard(before);
    fill_guard(after);
    write_guarded(watch_, band.subspan(around, bytes), library_->culprit(), "encode", [&](std::byte* out) {
        call(library_->culprit(), "encode()", table_.encode, plan_, static_cast<const void*>(grid.data()),
             &region, &view, reinterpret_cast<uint8_t*>(out));
    });
    if (!guard_is_whole(before)) blame(library_->culprit(), "encode", "before", bytes);
    if (!guard_is_whole(after)) blame(library_->culprit(), "encode", "after", bytes);
}

void FormatPlan::decode(const Grid& grid, const ht_region& region, std::span<const std::byte> band,
                        const ht_view& out) const {
    check_band(region, band.size());
    read_guarded(watch_, band, library_->culprit(), "decode", [&](const std::byte* bytes) {
        call(library_->culprit(), "decode()", table_.decode, plan_, static_cast<const void*>(grid.data()),
             &region, reinterpret_cast<const uint8_t*>(bytes), &out);
    });
}

std::vector<std::byte> FormatPlan::companion(const Grid& grid, size_t index) const {
    std::vector<std::byte> bytes(index < stored_.size() ? stored_[index].bytes : 0);
    companion(grid, index, bytes);
    return bytes;
}

void FormatPlan::companion(const Grid& grid, size_t index, std::span<std::byte> out) const {
    if (index >= stored_.size() || index == weight_ || out.size() != stored_[index].bytes)
        fail(Exit::failed, library_->culprit(), "has no companion {} of {} bytes", index, out.size());
    write_guarded(at_least_guarded(watch_), out, library_->culprit(), "companion", [&](std::byte* bytes) {
        refuse_late(plugin_, "companion()", [&] {
            call_checked(library_->culprit(), "companion()", table_.companion, plan_,
                         static_cast<const void*>(grid.data()), static_cast<uint32_t>(index),
                         reinterpret_cast<uint8_t*>(bytes));
        });
    });
}

void FormatPlan::snap(const Grid& grid, const ht_region& region, const ht_view& in,
                      const ht_view& out) const {
    call(library_->culprit(), "snap()", table_.snap, plan_, static_cast<const void*>(grid.data()), &region,
         &in, &out);
}

void FormatPlan::sigma(const Grid& grid, const ht_region& region, const ht_view& out) const {
    call(library_->culprit(), "sigma()", table_.sigma, plan_, static_cast<const void*>(grid.data()), &region,
         &out);
}

void FormatPlan::around(const Grid& grid, const ht_region& region, const ht_view& in, const ht_view& lo,
                        const ht_view& hi) const {
    call(library_->culprit(), "around()", table_.around, plan_, static_cast<const void*>(grid.data()),
         &region, &in, &lo, &hi);
}

std::optional<ht_table> FormatPlan::table(const Grid& grid) const {
    ht_table table{};
    table.size = sizeof table;
    try {
        call_checked(library_->culprit(), "table()", table_.table, plan_,
                     static_cast<const void*>(grid.data()), &table);
    } catch (const Refusal&) {
        return std::nullopt;
    }
    return table;
}

const void* FormatPlan::extension(const char* id) const {
    return table_.extension ? call(library_->culprit(), "extension()", table_.extension, id) : nullptr;
}

const ht_kernels* FormatPlan::kernels(const char* name) const {
    const auto* const kernels = static_cast<const ht_kernels*>(extension(HT_FORMAT_KERNELS));
    if (!kernels) return nullptr;
    return call(library_->culprit(), "serves()", kernels->serves, static_cast<const void*>(plan_), name)
               ? kernels
               : nullptr;
}

bool FormatPlan::rounds_activations() const {
    return !(source_.wants & HT_WANTS_FULL_PRECISION_MM) && extension(HT_FORMAT_ACTIVATIONS);
}

void FormatPlan::round_activations(std::optional<float> input_scale, const ht_view& view,
                                   uint64_t rows) const {
    if (!rounds_activations()) return;
    const ht_activations offered =
        copied(static_cast<const ht_activations*>(extension(HT_FORMAT_ACTIVATIONS)));
    if (!offered.round_activations)
        fail(Exit::plugin, library_->culprit(), "its extension {} has no function", HT_FORMAT_ACTIVATIONS);
    const float scale = input_scale.value_or(1);
    call(library_->culprit(), "round_activations()", offered.round_activations, plan_,
         input_scale ? &scale : nullptr, &view, rows);
}

uint64_t FormatPlan::band_offset(uint64_t row) const {
    return row / facts_.granule_rows * facts_.granule_bytes;
}

uint64_t FormatPlan::band_bytes(uint64_t row, uint64_t rows) const {
    const uint64_t offset = band_offset(row);
    // The band with the last row takes what remains, padding included.
    return row + rows == source_.rows ? weight_bytes() - offset : band_offset(row + rows) - offset;
}

// Of so many columns of a row, whole pieces; 0 where rows are not cut.
uint64_t FormatPlan::bytes_of_pieces(uint64_t cols) const {
    return facts_.piece_cols == 0 ? 0 : cols / facts_.piece_cols * facts_.piece_bytes;
}

uint64_t FormatPlan::band_offset(const ht_region& region) const {
    return band_offset(region.row) + bytes_of_pieces(region.col);
}

uint64_t FormatPlan::band_bytes(const ht_region& region) const {
    const uint64_t end = region.col + region.cols;
    if (end == source_.cols)  // the last part of a row takes what remains of it
        return band_offset(region.row) + band_bytes(region.row, region.rows) - band_offset(region);
    return bytes_of_pieces(end) - bytes_of_pieces(region.col);
}

}  // namespace halftone
