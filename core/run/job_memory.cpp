#include "core/run/job_memory.hpp"

#include <algorithm>

#include "core/run/learned_job.hpp"
#include "core/run/workers.hpp"
#include "plugins/guard_bytes.hpp"

namespace halftone {
namespace {

const Tensor& source_of(const Plan& plan, const PlannedTensor& planned) {
    return plan.checkpoint->tensors()[planned.source];
}

uint64_t largest_companion(const FormatPlan& format) {
    uint64_t most = 0;
    for (size_t i = 0; i < format.stored().size(); ++i)
        if (i != format.weight_index()) most = std::max(most, format.stored()[i].bytes);
    return most;
}

// What encode() makes of one; the last has the padding.
uint64_t largest_codes(const FormatPlan& format, const Bands& bands) {
    if (bands.count() == 0) return 0;
    return std::max(format.band_bytes(bands.region(0)), format.band_bytes(bands.region(bands.count() - 1))) +
           2 * guard_size;
}

JobMemory memory_to_quantize(const Plan& plan, const PlannedTensor& planned) {
    const FormatPlan& format = *planned.plan;
    const ReaderFacts source = reader_of_one(plan, planned);
    const Bands bands = bands_to_quantize(plan, planned);
    const uint64_t band =
        source.scratch_bytes(bands.largest_rows(), bands.largest_cols()) + largest_codes(format, bands);
    const uint64_t granules_of_band = bands.largest_rows() / format.facts().granule_rows + 1;
    const uint64_t partials = format.facts().passes > 0 ? bands_to_fold(format, bands) * granules_of_band *
                                                              format.facts().partial_bytes
                                                        : 0;
    // Companions are made when no band is under way any more, behind guard bytes and then as they are
    // written.
    const uint64_t companion = 2 * largest_companion(format);
    return {
        source.held + format.facts().grid_bytes + std::max(partials, companion - std::min(companion, band)),
        band};
}

JobMemory memory_to_cast(const Plan& plan, const PlannedTensor& planned) {
    const uint64_t element = dtype::bits(planned.outputs.front().dtype) / 8;
    if (!planned.stored)
        return {0, reader_facts(source_of(plan, planned)).scratch_bytes(flat_band_elements, 1) +
                       flat_band_elements * element};
    const StoredMatrix& stored = *planned.stored;
    const ReaderFacts facts = reader_facts(stored, stored.experts());
    const Bands bands =
        bands_to_read(facts, stored.experts() * stored.plan->source().rows, stored.plan->source().cols);
    return {facts.held, facts.scratch_bytes(bands.largest_rows(), bands.largest_cols()) +
                            bands.largest_elements() * element};
}

// For [run] verify: both sides as they are compared, a stack's experts all at once.
JobMemory memory_to_verify(const Plan& plan, const PlannedTensor& planned) {
    const FormatPlan& format = *planned.plan;
    const uint64_t experts = format.source().experts;
    const ReaderFacts source = reader_of_all(plan, planned);
    const Bands bands = bands_to_quantize(plan, planned);
    uint64_t companions = 0;
    for (size_t i = 0; i < format.stored().size(); ++i)
        if (i != format.weight_index()) companions += format.stored()[i].bytes;
    const uint64_t of_a_band = 4096;  // what is added up
    return {source.held + experts * (format.facts().grid_bytes + of_a_band * bands.count()) + companions,
            source.scratch_bytes(bands.largest_rows(), bands.largest_cols()) + largest_codes(format, bands) +
                bands.largest_elements() * sizeof(float)};
}

}  // namespace

ReaderFacts reader_of_one(const Plan& plan, const PlannedTensor& planned) {
    return planned.stored ? reader_facts(*planned.stored, 1) : reader_facts(source_of(plan, planned));
}

ReaderFacts reader_of_all(const Plan& plan, const PlannedTensor& planned) {
    return planned.stored ? reader_facts(*planned.stored, planned.stored->experts())
                          : reader_facts(source_of(plan, planned));
}

Bands bands_to_quantize(const Plan& plan, const PlannedTensor& planned) {
    const FormatPlan& format = *planned.plan;
    const ReaderFacts source = reader_of_one(plan, planned);
    return {format.source().rows, format.source().cols, format.facts().granule_rows, source.granule_rows,
            common_piece(format.facts().piece_cols, source.piece_cols)};
}

Bands bands_to_read(const ReaderFacts& reader, uint64_t rows, uint64_t cols) {
    return {rows, cols, reader.granule_rows, 1, reader.piece_cols};
}

uint64_t bands_to_fold(const FormatPlan& format, const Bands& bands) {
    constexpr uint64_t most_bytes = 4u << 20;
    const uint64_t all = bands.count() / bands.parts_of_a_row();
    if (!(format.facts().flags & HT_FACT_FOLDS_IN_PARTS)) return all;
    const uint64_t granules = std::max<uint64_t>(bands.largest_rows() / format.facts().granule_rows, 1);
    const uint64_t bytes = std::max<uint64_t>(granules * format.facts().partial_bytes, 1);
    return std::clamp<uint64_t>(most_bytes / bytes, 1, std::max<uint64_t>(all, 1));
}

JobMemory memory_to_make(const Plan& plan, const PlannedTensor& planned) {
    switch (planned.action) {
        case Action::quantize:
            return planned.learning ? memory_to_learn(plan, planned) : memory_to_quantize(plan, planned);
        case Action::keep:
            return {0, copied_at_once};
        case Action::cast:
            return memory_to_cast(plan, planned);
        case Action::remove:
            break;
    }
    return {};
}

JobMemory memory_to_look_at(const Plan& plan, const PlannedTensor& planned) {
    const MatrixSource& matrix = planned.plan->source();
    const ReaderFacts reader = reader_of_all(plan, planned);
    const Bands bands = bands_to_read(reader, matrix.experts * matrix.rows, matrix.cols);
    return {reader.held, reader.scratch_bytes(bands.largest_rows(), bands.largest_cols())};
}

uint64_t memory_for(const Plan& plan) {
    const PlannedTensor* largest = nullptr;
    uint64_t most = 0;
    for (const PlannedTensor& planned : plan.tensors) {
        uint64_t least = memory_to_make(plan, planned).least();
        if (planned.action == Action::quantize && plan.pipeline.quantize.on_nonfinite == OnNonfinite::keep)
            least = std::max(least, memory_to_look_at(plan, planned).least());
        if (planned.action == Action::quantize && plan.pipeline.run.verify)
            least = std::max(least, memory_to_verify(plan, planned).least());
        if (least <= most) continue;
        most = least;
        largest = &planned;
    }
    const uint64_t asked = plan.pipeline.run.memory;
    const uint64_t memory = asked ? asked : std::max(Workers::default_memory, most);
    if (most > memory) refuse_memory(source_of(plan, *largest).name, most, memory);
    return memory;
}

}  // namespace halftone
