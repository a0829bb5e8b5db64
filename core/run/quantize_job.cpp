#include "core/run/quantize_job.hpp"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/process.hpp"
#include "core/run/bands.hpp"
#include "core/run/input_scale.hpp"
#include "core/run/job_memory.hpp"
#include "core/run/stored_numbers.hpp"
#include "core/run/weight_reader.hpp"
#include "plugins/guard_bytes.hpp"
#include "plugins/late_refusal.hpp"

namespace halftone {
namespace {

class QuantizeJob {
  public:
    QuantizeJob(const Plan& plan, const PlannedTensor& planned, uint64_t expert, const Output* output,
                Workers& workers, Workers::Share& share, Progress& progress)
        : plan_(plan),
          planned_(planned),
          expert_(expert),
          format_(*planned.plan),
          output_(output),
          workers_(workers),
          share_(share),
          progress_(progress),
          bands_(bands_to_quantize(plan, planned)) {}

    void run() {
        const ht_facts& facts = format_.facts();
        source_ = open_reader(plan_, planned_, expert_);
        grid_ = format_.make_grid();
        fit_globally();
        if (facts.flags & HT_FACT_ENCODE_BEFORE_SEAL) {
            each_band([&](const ht_region& region, const ht_view& view, Scratch& scratch) {
                format_.fit_band(region, view, nullptr, grid_);
                encode(region, view, scratch);
            });
            format_.fit_seal(grid_);
        } else {
            if (format_.fits_bands())
                each_band([&](const ht_region& region, const ht_view& view, Scratch&) {
                    format_.fit_band(region, view, nullptr, grid_);
                });
            format_.fit_seal(grid_);
            each_band([&](const ht_region& region, const ht_view& view, Scratch& scratch) {
                encode(region, view, scratch);
            });
        }
        os::anonymous_memory();  // it is at its highest about now
        if (output_) return write_companions(planned_, expert_, grid_, *output_);
        for (const PlannedOutput& one : planned_.outputs)
            if (one.origin == Origin::companion) format_.companion(grid_, one.stored_index);
    }

  private:
    // As many rows of bands at a time as partial results are kept of.
    void fit_globally() {
        const ht_facts& facts = format_.facts();
        const uint64_t parts = bands_.parts_of_a_row(), rows_of_bands = bands_.count() / parts;
        const uint64_t at_a_time = bands_to_fold(format_, bands_);
        for (uint32_t pass = 0; pass < facts.passes; ++pass) {
            if (rows_of_bands == 0) format_.fit_fold(pass, {}, 0, grid_);
            for (uint64_t first = 0; first < rows_of_bands; first += at_a_time) {
                const uint64_t n = std::min(at_a_time, rows_of_bands - first);
                const uint64_t first_row = bands_.region(first * parts).row;
                const ht_region last = bands_.region((first + n) * parts - 1);
                const uint64_t rows = last.row + last.rows - first_row;
                const uint64_t granules = (rows + facts.granule_rows - 1) / facts.granule_rows;
                AlignedBytes partials(granules * facts.partial_bytes);
                // The parts of a row one after the other: they add to one slot.
                each_band(first, n, parts, [&](const ht_region& region, const ht_view& view, Scratch&) {
                    const uint64_t slot = (region.row - first_row) / facts.granule_rows;
                    format_.fit_pass(pass, region, view, nullptr, grid_,
                                     partials.data() + slot * facts.partial_bytes);
                });
                format_.fit_fold(pass, partials.bytes(), granules, grid_);
            }
        }
    }

    template <class Work>
    void each_band(const Work& work) {
        each_band(0, bands_.count(), 1, work);
    }

    // `n` runs of `in_order` bands each; those of a run are worked on in order.
    template <class Work>
    void each_band(uint64_t first, uint64_t n, uint64_t in_order, const Work& work) {
        std::atomic<uint64_t> nonfinite = 0, infinite = 0;
        workers_.each_band(share_, n, [&](uint64_t run, Scratch& scratch) {
            for (uint64_t i = 0; i < in_order; ++i) {
                const ht_region region = bands_.region((first + run) * in_order + i);
                const WidenedBand band = source_->read(region, scratch);
                nonfinite += band.nonfinite;
                if (band.nonfinite == 0) {
                    const uint64_t overflown = rotate_forward(format_, band.view, region.rows);
                    infinite += overflown;
                    if (overflown == 0) work(region, band.view, scratch);
                }
                progress_.work_done += source_->bytes_of(region);
            }
        });
        const std::string name = name_of_matrix(plan_, planned_, expert_);
        if (nonfinite > 0) refuse_nonfinite(name, nonfinite);
        if (infinite > 0) refuse_to_rotate(name, infinite);
    }

    void encode(const ht_region& region, const ht_view& view, Scratch& scratch) {
        const uint64_t bytes = format_.band_bytes(region);
        const auto room = Scratch::sized(scratch.encoded, bytes + 2 * guard_size);
        const auto band = room.subspan(guard_size, bytes);
        std::ranges::fill(band, std::byte{0});  // what a plugin leaves out must not be what lay there before
        format_.encode(grid_, region, view, room);
        if (output_) write_codes(planned_, expert_, format_.band_offset(region), band, *output_);
    }

    const Plan& plan_;
    const PlannedTensor& planned_;
    const uint64_t expert_;
    const FormatPlan& format_;
    const Output* const output_;  // null: nothing is written
    Workers& workers_;
    Workers::Share& share_;
    Progress& progress_;
    const Bands bands_;
    std::unique_ptr<WeightReader> source_;
    Grid grid_;
};

}  // namespace

void quantize(const Plan& plan, const PlannedTensor& planned, uint64_t expert, const Output& output,
              Workers& workers, Workers::Share& share, Progress& progress) {
    const os::Subject about(name_of_matrix(plan, planned, expert));
    try {
        QuantizeJob(plan, planned, expert, &output, workers, share, progress).run();
    } catch (...) {
        blame_plugin(name_of_matrix(plan, planned, expert));
    }
}

std::optional<std::string> late_refusal(const Plan& plan, const PlannedTensor& planned, uint64_t expert,
                                        Workers& workers, Workers::Share& share, Progress& progress) {
    const os::Subject about(name_of_matrix(plan, planned, expert));
    try {
        QuantizeJob(plan, planned, expert, nullptr, workers, share, progress).run();
    } catch (const LateRefusal& refusal) {
        return refusal.reason();
    } catch (...) {
        blame_plugin(name_of_matrix(plan, planned, expert));
    }
    return std::nullopt;
}

void blame_plugin(const std::string& name) {
    try {
        throw;
    } catch (const LateRefusal& refusal) {
        throw refusal.of(name);
    } catch (const Error& error) {
        if (error.code() != Exit::plugin) throw;
        throw Error(error.code(), name, error.what(), error.advice());
    }
}

void write_codes(const PlannedTensor& planned, uint64_t expert, uint64_t from,
                 std::span<const std::byte> codes, const Output& output) {
    const PlannedOutput& weight = planned.outputs.front();
    output.write(weight.file, weight.offset + expert * planned.plan->weight_bytes() + from, codes);
}

void write_companions(const PlannedTensor& planned, uint64_t expert, const Grid& grid, const Output& output) {
    for (const PlannedOutput& one : planned.outputs) {
        if (one.origin == Origin::companion) {
            const std::vector<std::byte> bytes = planned.plan->companion(grid, one.stored_index);
            check_companion(*planned.plan, planned.plan->stored()[one.stored_index], bytes);
            output.write(one.file, one.offset + expert * bytes.size(), bytes);
        } else if (one.origin == Origin::measured && expert == 0) {
            const float scale = measured_input_scale(one.measured);
            output.write(one.file, one.offset, std::as_bytes(std::span(&scale, 1)));
        } else if (one.origin == Origin::text && expert == 0) {
            output.write(one.file, one.offset, one.content);
        }
    }
}

void refuse_nonfinite(const std::string& name, uint64_t count) {
    throw Error(Exit::failed, name, fmt::format("{} values are NaN or infinite", count),
                "repair the checkpoint, or set [quantize] on_nonfinite = \"keep\" to leave such tensors as "
                "they are");
}

std::string name_of_matrix(const Plan& plan, const PlannedTensor& planned, uint64_t expert) {
    const std::string& name = plan.checkpoint->tensors()[planned.source].name;
    return planned.plan->source().experts == 1 ? name : fmt::format("{}[{}]", name, expert);
}

uint64_t rotate_forward(const FormatPlan& format, const ht_view& view, uint64_t rows) {
    if (!(format.facts().flags & HT_FACT_ROTATES)) return 0;
    format.rotate(false, view, rows);
    return count_nonfinite({view.at, rows * format.source().cols});
}

void refuse_to_rotate(const std::string& name, uint64_t sums) {
    throw Error(Exit::failed, name,
                fmt::format("its values are so large that {} sums of its rotation are beyond float32", sums),
                "keep it with a [[rule]], or give it a format that does not rotate");
}

uint64_t passes_over(const FormatPlan& format) {
    const bool separate_fit = format.fits_bands() && !(format.facts().flags & HT_FACT_ENCODE_BEFORE_SEAL);
    return format.facts().passes + (separate_fit ? 1 : 0) + 1;
}

}  // namespace halftone
