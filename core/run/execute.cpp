#include "core/run/execute.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <mutex>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/plan/plan_files.hpp"
#include "core/run/bands.hpp"
#include "core/run/device_job.hpp"
#include "core/run/job_memory.hpp"
#include "core/run/quantize_job.hpp"
#include "core/run/weight_reader.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

// The order of the data in the input files: what a disk reads fastest.
std::vector<uint32_t> in_file_order(const Plan& plan) {
    std::vector<uint32_t> order(plan.tensors.size());
    for (uint32_t i = 0; i < order.size(); ++i)
        order[i] = i;
    std::ranges::sort(order, {}, [&](uint32_t i) {
        const Tensor& tensor = plan.checkpoint->tensors()[plan.tensors[i].source];
        return std::pair(tensor.file, tensor.offset);
    });
    return order;
}

const Tensor& source_of(const Plan& plan, const PlannedTensor& planned) {
    return plan.checkpoint->tensors()[planned.source];
}

std::vector<const PlannedTensor*> quantized_matrices(const Plan& plan) {
    std::vector<const PlannedTensor*> matrices;
    for (const PlannedTensor& planned : plan.tensors)
        if (planned.action == Action::quantize) matrices.push_back(&planned);
    return matrices;
}

uint64_t work_of(const Plan& plan, const PlannedTensor& planned) {
    if (planned.action == Action::remove) return 0;
    if (planned.learning) return work_of_learning(plan, planned);
    const uint64_t bytes = source_of(plan, planned).bytes;
    return planned.action == Action::quantize ? bytes * passes_over(*planned.plan) : bytes;
}

// Calls work(offset, length) for consecutive pieces of a tensor's bytes.
template <class Work>
void each_piece(uint64_t total, uint64_t piece, Workers& workers, Workers::Share& share, const Work& work) {
    workers.each_band(share, (total + piece - 1) / piece, [&](uint64_t index, Scratch& scratch) {
        const uint64_t offset = index * piece;
        work(offset, std::min(piece, total - offset), scratch);
    });
}

void copy(const Plan& plan, const PlannedTensor& planned, const Output& output, Workers& workers,
          Workers::Share& share, Progress& progress) {
    const Tensor& tensor = source_of(plan, planned);
    const PlannedOutput& to = planned.outputs.front();
    each_piece(tensor.bytes, copied_at_once, workers, share,
               [&](uint64_t offset, uint64_t length, Scratch& scratch) {
                   const auto bytes = Scratch::sized(scratch.source, length);
                   plan.checkpoint->read(tensor, offset, bytes);
                   output.write(to.file, to.offset + offset, bytes);
                   progress.work_done += length;
               });
}

// A finite value that the narrower type would make infinite.
bool too_large(ht_dtype to, double value) {
    if (to == HT_DTYPE_F32) return std::isfinite(value) && std::fabs(value) >= 0x1.FFFFFFp127;
    const double limit = to == HT_DTYPE_F16 ? 65520.0 : 0x1.FFp127;  // the first that rounds to infinity
    return std::isfinite(value) && std::fabs(value) >= limit;
}

// Asked of the source: a double may be lost already as a float.
bool overflows(ht_dtype to, const Tensor& tensor, std::span<const std::byte> source,
               std::span<const float> values) {
    if (tensor.dtype != HT_DTYPE_F64)
        return std::ranges::any_of(values, [to](float value) { return too_large(to, value); });
    for (size_t i = 0; i + sizeof(double) <= source.size(); i += sizeof(double)) {
        double value;
        std::memcpy(&value, source.data() + i, sizeof value);
        if (too_large(to, value)) return true;
    }
    return false;
}

void cast(const Plan& plan, const PlannedTensor& planned, const Output& output, Workers& workers,
          Workers::Share& share, Progress& progress) {
    const Tensor& tensor = source_of(plan, planned);
    const PlannedOutput& to = planned.outputs.front();
    const uint64_t from_bytes = dtype::bits(tensor.dtype) / 8, to_bytes = dtype::bits(to.dtype) / 8;
    const uint64_t elements = tensor.bytes / from_bytes;
    const auto reader = open_reader(*plan.checkpoint, tensor, 1);
    each_piece(elements, flat_band_elements, workers, share,
               [&](uint64_t first, uint64_t count, Scratch& scratch) {
                   const WidenedBand band = reader->read({first, 0, count, 1}, scratch);
                   const std::span<const float> values(band.view.at, count);
                   if (overflows(to.dtype, tensor, scratch.source.bytes().first(count * from_bytes), values))
                       throw Error(Exit::failed, tensor.name,
                                   fmt::format("has values that are too large for {}", dtype::name(to.dtype)),
                                   "choose another [output] kept; \"source\" leaves tensors as they are");
                   const auto narrowed = Scratch::sized(scratch.encoded, count * to_bytes);
                   narrow(to.dtype, values, narrowed);
                   output.write(to.file, to.offset + first * to_bytes, narrowed);
                   progress.work_done += count * from_bytes;
               });
}

// A quantized matrix as plain numbers.
void read_back(const Plan& plan, const PlannedTensor& planned, const Output& output, Workers& workers,
               Workers::Share& share, Progress& progress) {
    const Tensor& tensor = source_of(plan, planned);
    const PlannedOutput& to = planned.outputs.front();
    const uint64_t to_bytes = dtype::bits(to.dtype) / 8;
    const auto reader = open_reader(*plan.checkpoint, planned.stored);
    const Bands bands = bands_to_read(reader_of_all(plan, planned), reader->rows(), reader->cols());
    workers.each_band(share, bands.count(), [&](uint64_t index, Scratch& scratch) {
        const ht_region region = bands.region(index);
        const WidenedBand band = reader->read(region, scratch);
        if (band.nonfinite > 0)
            fail(Exit::input, tensor.name, "{} values are NaN or infinite in rows {} to {}", band.nonfinite,
                 region.row, region.row + region.rows - 1);
        const std::span<const float> values(band.view.at, region.rows * region.cols);
        if (std::ranges::any_of(values, [&](float value) { return too_large(to.dtype, value); }))
            throw Error(Exit::failed, tensor.name,
                        fmt::format("has values that are too large for {}", dtype::name(to.dtype)),
                        "choose a type of wider range: bf16 or f32");
        const auto narrowed = Scratch::sized(scratch.encoded, values.size() * to_bytes);
        narrow(to.dtype, values, narrowed);
        const uint64_t first = region.row * reader->cols() + region.col;
        output.write(to.file, to.offset + first * to_bytes, narrowed);
        progress.work_done += reader->bytes_of(region);
    });
}

// On the device that was asked for, if it can; it makes the same bytes. Returns why it was the CPU instead.
std::string round_to_nearest(const Plan& plan, const PlannedTensor& planned, uint64_t expert,
                             const Output& output, Workers& workers, Workers::Share& share,
                             Progress& progress) {
    DeviceLanes* const lanes = workers.lanes();
    std::string why_on_cpu;
    if (lanes && lanes->asked_for()) {
        why_on_cpu = quantize_on_device(plan, planned, expert, output, *lanes, progress);
        if (why_on_cpu.empty()) return "";
        lanes->clear();  // of the host's memory, too
        share.change(memory_to_make(plan, planned));
    }
    quantize(plan, planned, expert, output, workers, share, progress);
    return why_on_cpu;
}

// Where a device is to make it, what lies in the host's memory meanwhile.
JobMemory memory_at_first(const Plan& plan, const PlannedTensor& planned, const Workers& workers) {
    DeviceLanes* const lanes = workers.lanes();
    if (planned.action == Action::quantize && lanes && !lanes->device()->lost()) {
        const auto beside = planned.learning     ? memory_to_learn_on_device(plan, planned)
                            : lanes->asked_for() ? std::optional(memory_to_quantize_on_device(plan, planned))
                                                 : std::nullopt;
        if (beside) return *beside;
    }
    return memory_to_make(plan, planned);
}

}  // namespace

void set_totals(Progress& progress, const Plan& plan) {
    progress.tensors_total = plan.tensors.size();
    progress.work_total = 0;
    progress.bytes_total = 0;
    for (const PlannedTensor& planned : plan.tensors) {
        const uint64_t work = work_of(plan, planned);
        progress.work_total += work;
        progress.bytes_total += work > 0 ? source_of(plan, planned).bytes : 0;
    }
}

namespace {

Output::Settings output_settings(const Plan& plan) {
    return {.path = plan.pipeline.output.path,
            .replace = plan.pipeline.output.replace,
            .tag = {},
            .remember = plan.pipeline.run.verify,
            .replace_checkpoints_only = plan.pipeline.output.replace_from_file};
}

}  // namespace

std::unique_ptr<Output> open_output(const Plan& plan) {
    return std::make_unique<Output>(output_settings(plan), plan.files, files_read(plan));
}

void check_output(const Plan& plan) {
    check_output(output_settings(plan), plan.output_bytes, files_read(plan), plan.files.size());
}

void refuse_changed_inputs(const Plan& plan) {
    plan.checkpoint->refuse_changes();
    for (const std::shared_ptr<const Checkpoint>& file : plan.read_besides)
        file->refuse_changes();
}

Outcome execute(const Plan& plan, const Output& output, Workers& workers, Progress& progress) {
    const std::vector<uint32_t> order = in_file_order(plan);
    std::vector<std::vector<LearnedOutcome>> learned(plan.tensors.size());
    std::vector<std::string> why_on_cpu(plan.tensors.size());
    const auto need = [&](uint64_t index) {
        const PlannedTensor& planned = plan.tensors[order[index]];
        const JobMemory memory = memory_at_first(plan, planned, workers);
        workers.require_room(source_of(plan, planned).name, memory);
        return memory;
    };
    workers.each_job(order.size(), need, [&](uint64_t index, Workers::Share& share) {
        const PlannedTensor& planned = plan.tensors[order[index]];
        const os::Subject about(source_of(plan, planned).name);
        switch (planned.action) {
            case Action::quantize:
                for (uint64_t expert = 0; expert < planned.plan->source().experts; ++expert)
                    if (planned.learning)
                        learned[order[index]].push_back(
                            quantize_learned(plan, planned, expert, output, workers, share, progress));
                    else
                        why_on_cpu[order[index]] =
                            round_to_nearest(plan, planned, expert, output, workers, share, progress);
                break;
            case Action::keep:
                copy(plan, planned, output, workers, share, progress);
                break;
            case Action::cast:
                (planned.stored ? read_back : cast)(plan, planned, output, workers, share, progress);
                break;
            case Action::remove:
                break;
        }
        ++progress.tensors_done;
    });
    Outcome outcome;
    for (std::vector<LearnedOutcome>& of_tensor : learned)
        std::ranges::move(of_tensor, std::back_inserter(outcome.learned));
    for (const std::string& reason : why_on_cpu)
        if (!reason.empty()) ++outcome.rounded_on_cpu[reason];
    return outcome;
}

void set_totals_of_looking(Progress& progress, const Plan& plan) {
    const std::vector<const PlannedTensor*> matrices = quantized_matrices(plan);
    progress.tensors_total = matrices.size();
    progress.work_total = 0;
    for (const PlannedTensor* matrix : matrices)
        progress.work_total += source_of(plan, *matrix).bytes;
    progress.bytes_total = progress.work_total;
}

PlanKnowledge look_for_nonfinite(const Plan& plan, Workers& workers, Progress& progress) {
    PlanKnowledge result;
    std::mutex mutex;
    const std::vector<const PlannedTensor*> matrices = quantized_matrices(plan);
    const auto need = [&](uint64_t index) {
        const JobMemory memory = memory_to_look_at(plan, *matrices[index]);
        workers.require_room(source_of(plan, *matrices[index]).name, memory);
        return memory;
    };
    workers.each_job(matrices.size(), need, [&](uint64_t index, Workers::Share& share) {
        const PlannedTensor& planned = *matrices[index];
        const os::Subject about(source_of(plan, planned).name);
        const auto reader = open_reader(plan, planned);
        const Bands bands = bands_to_read(reader_of_all(plan, planned), reader->rows(), reader->cols());
        workers.each_band(share, bands.count(), [&](uint64_t band, Scratch& scratch) {
            const ht_region region = bands.region(band);
            if (reader->read(region, scratch).nonfinite > 0) {
                const std::lock_guard lock(mutex);
                result.nonfinite.insert(source_of(plan, planned).name);
            }
            progress.work_done += reader->bytes_of(region);
        });
        ++progress.tensors_done;
    });
    return result;
}

PlanKnowledge look_for_refusals(const Plan& plan, Workers& workers, Progress& progress) {
    PlanKnowledge result;
    std::mutex mutex;
    const std::vector<const PlannedTensor*> matrices = quantized_matrices(plan);
    const auto need = [&](uint64_t index) {
        const JobMemory memory = memory_to_make(plan, *matrices[index]);
        workers.require_room(source_of(plan, *matrices[index]).name, memory);
        return memory;
    };
    workers.each_job(matrices.size(), need, [&](uint64_t index, Workers::Share& share) {
        const PlannedTensor& planned = *matrices[index];
        for (uint64_t expert = 0; expert < planned.plan->source().experts; ++expert)
            if (const auto reason = late_refusal(plan, planned, expert, workers, share, progress)) {
                const std::lock_guard lock(mutex);
                result.refused.emplace(source_of(plan, planned).name, *reason);
                break;
            }
        ++progress.tensors_done;
    });
    return result;
}

}  // namespace halftone
