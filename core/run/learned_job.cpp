#include "core/run/learned_job.hpp"

#include <atomic>
#include <cmath>
#include <set>

#include "core/base/error.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/process.hpp"
#include "core/linalg/tiles.hpp"
#include "core/rounding/device_problem.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/learn.hpp"
#include "core/rounding/views.hpp"
#include "core/run/bands.hpp"
#include "core/run/device_lanes.hpp"
#include "core/run/job_memory.hpp"
#include "core/run/objectives.hpp"
#include "core/run/quantize_job.hpp"
#include "core/run/trace.hpp"
#include "core/run/weight_reader.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

// Of the error with the objective's factors: about what one projection costs, against reading the matrix.
uint64_t directions(const PlannedObjective& objective) {
    if (objective.singular_directions) return objective.singular_directions;
    if (objective.left) return objective.left->shape[0];
    return objective.right ? objective.right->shape[1] : 1;
}

Bands bands_of_source(const Plan& plan, const PlannedTensor& planned) {
    const MatrixSource& matrix = planned.plan->source();
    return {matrix.rows, matrix.cols, 1, reader_of_one(plan, planned).granule_rows};
}

// All of it at once: bands have no use for a problem that looks at the whole.
Matrix read_weights(const Plan& plan, const PlannedTensor& planned, uint64_t expert, Workers& workers,
                    Workers::Share& share, Progress& progress) {
    const FormatPlan& format = *planned.plan;
    const std::unique_ptr<WeightReader> source = open_reader(plan, planned, expert);
    const Bands bands = bands_of_source(plan, planned);
    Matrix weights(source->rows(), source->cols());
    std::atomic<uint64_t> nonfinite = 0, infinite = 0;
    workers.each_band(share, bands.count(), [&](uint64_t index, Scratch& scratch) {
        const ht_region region = bands.region(index);
        const WidenedBand band = source->read(region, scratch);
        nonfinite += band.nonfinite;
        const MatrixView to = weights.view().block(region.row, 0, region.rows, region.cols);
        for (uint64_t i = 0; i < region.rows; ++i)
            std::copy_n(band.view.at + static_cast<int64_t>(i) * band.view.row_stride, region.cols,
                        to.row(i));
        if (band.nonfinite == 0) infinite += rotate_forward(format, view_of(to), region.rows);
        progress.work_done += source->bytes_of(region);
    });
    if (nonfinite > 0) refuse_nonfinite(name_of_matrix(plan, planned, expert), nonfinite);
    if (infinite > 0) refuse_to_rotate(name_of_matrix(plan, planned, expert), infinite);
    return weights;
}

Judge make_judge(const PlannedLearning& learning, const FormatPlan& format) {
    Judge judge;
    for (const auto& [weight, objective] : learning.judge)
        judge.terms.push_back({weight, make_objective(objective, format)});
    if (learning.squared_error_cap) judge.squared_error_cap = *learning.squared_error_cap;
    return judge;
}

void write(const PlannedTensor& planned, uint64_t expert, const RoundingResult& result,
           const Output& output) {
    constexpr uint64_t piece = 1u << 20;
    const std::span<const std::byte> codes = result.codes.bytes();
    each_tile(pieces(codes.size(), piece), [&](uint64_t i) {
        const uint64_t from = i * piece;
        write_codes(planned, expert, from, codes.subspan(from, std::min(piece, codes.size() - from)), output);
    });
    write_companions(planned, expert, result.grid, output);
}

double ratio(double now, double before) {
    return before > 0 ? now / before : 1;
}

// What an objective's factors take while they are made. Tensors of factors come in float32, get transposed
// to be rotated, and second moments are factored in doubles.
uint64_t bytes_of_factors(const PlannedObjective& objective, uint64_t rows, uint64_t cols) {
    constexpr uint64_t oversampling = 10, copies = 3, bytes_to_factor = 24;
    if (objective.singular_directions > 0)
        return copies * (rows + cols) * (objective.singular_directions + oversampling) * sizeof(float);
    const auto elements = [](const Tensor* tensor) {
        return tensor ? element_count(tensor->shape).value_or(0) : 0;
    };
    uint64_t bytes = copies * sizeof(float) *
                     (elements(objective.left) + elements(objective.right) + elements(objective.inputs));
    const bool factored = objective.second_moment || (objective.inputs && objective.inputs->shape[0] > cols);
    if (factored) bytes += cols * cols * bytes_to_factor;
    return bytes;
}

uint64_t bytes_of_objectives(const PlannedLearning& learning, uint64_t rows, uint64_t cols) {
    std::set<std::string> counted = {learning.objective.name};  // equal names, equal factors
    uint64_t bytes = bytes_of_factors(learning.objective, rows, cols);
    for (const auto& [weight, objective] : learning.judge)
        if (counted.insert(objective.name).second) bytes += bytes_of_factors(objective, rows, cols);
    return bytes;
}

// Of the host's memory, if the CPU learns.
uint64_t bytes_of_learning(const PlannedLearning& learning, const FormatPlan& format) {
    const bool whole_error = learning.objective.singular_directions == 0;
    const uint64_t matrices = 1 + learning.matrices + (whole_error ? 1 : 0);
    const uint64_t rows = format.source().rows, cols = format.source().cols;
    return rows * cols * sizeof(float) * matrices + bytes_of_objectives(learning, rows, cols) +
           format.weight_bytes() + 2 * format.facts().grid_bytes;
}

// With what reading the weights takes.
JobMemory with_source(uint64_t held, const Plan& plan, const PlannedTensor& planned) {
    const ReaderFacts source = reader_of_one(plan, planned);
    const Bands bands = bands_of_source(plan, planned);
    return {held + source.held, source.scratch_bytes(bands.largest_rows(), bands.largest_cols())};
}

LearnedOutcome learn(const Plan& plan, const PlannedTensor& planned, uint64_t expert, const Output& output,
                     Workers& workers, Workers::Share& share, Progress& progress) {
    const double start = os::seconds();
    const PlannedLearning& learning = *planned.learning;
    const FormatPlan& format = *planned.plan;
    const std::shared_ptr<Device> device = workers.lanes() ? workers.lanes()->device() : nullptr;
    const JobMemory on_cpu = memory_to_learn(plan, planned);
    const auto on_cpu_instead = [&] {
        if (share.memory().held < on_cpu.held) share.change(on_cpu);
    };
    if (!device || device->lost()) on_cpu_instead();

    RoundingTask task;
    task.format = &format;
    task.weights = read_weights(plan, planned, expert, workers, share, progress);
    const Grid grid = fitted_grid(format, task.weights);
    task.grid = &grid;
    task.objective = make_objective(learning.objective, format);
    task.judge = make_judge(learning, format);
    task.seed = learning.seed;
    task.culprit = learning.optimizer->library().culprit();
    task.matrices = learning.matrices;
    task.trace = !plan.pipeline.report.trace.empty();
    task.stop = os::interrupted;
    const Learned learned =
        learn_rounding(std::move(task), *learning.optimizer, learning.options, device, on_cpu_instead);
    const RoundingResult& result = learned.result;
    if (os::interrupted())
        throw Error(Exit::interrupted, "", "interrupted; nothing was written under the output's name");
    write(planned, expert, result, output);
    if (!plan.pipeline.report.trace.empty())
        write_trace(plan.pipeline.report.trace, name_of_matrix(plan, planned, expert), result.trace);
    return {name_of_matrix(plan, planned, expert),
            std::sqrt(ratio(result.best.loss, result.nearest.loss)),
            ratio(result.best.squared_error, result.nearest.squared_error),
            result.improved,
            result.candidates,
            os::seconds() - start,
            learned.why_on_cpu};
}

}  // namespace

LearnedOutcome quantize_learned(const Plan& plan, const PlannedTensor& planned, uint64_t expert,
                                const Output& output, Workers& workers, Workers::Share& share,
                                Progress& progress) {
    const std::string name = name_of_matrix(plan, planned, expert);
    const uint64_t work = work_of_learning(plan, planned) - plan.checkpoint->tensors()[planned.source].bytes;
    const os::Subject about(name);
    try {
        LearnedOutcome outcome = learn(plan, planned, expert, output, workers, share, progress);
        progress.work_done += work / planned.plan->source().experts;
        return outcome;
    } catch (const Refusal& refusal) {
        throw Error(Exit::usage, name,
                    fmt::format("{} does not take it: {}", planned.learning->optimizer->library().name(),
                                refusal.what()),
                    "give it another optimizer with a [[rule]]");
    } catch (...) {
        blame_plugin(name);
    }
}

JobMemory memory_to_learn(const Plan& plan, const PlannedTensor& planned) {
    return with_source(bytes_of_learning(*planned.learning, *planned.plan), plan, planned);
}

std::optional<JobMemory> memory_to_learn_on_device(const Plan& plan, const PlannedTensor& planned) {
    const auto bytes = host_bytes_beside_device(*planned.plan, *planned.learning->optimizer);
    return bytes ? std::optional(with_source(*bytes, plan, planned)) : std::nullopt;
}

uint64_t work_of_learning(const Plan& plan, const PlannedTensor& planned) {
    // One direction of one projection takes as long as reading a fraction of the matrix does.
    constexpr uint64_t directions_a_reading = 4;
    return plan.checkpoint->tensors()[planned.source].bytes *
           (1 + directions(planned.learning->objective) / directions_a_reading);
}

std::vector<std::filesystem::path> trace_files(const Plan& plan) {
    const std::filesystem::path& folder = plan.pipeline.report.trace;
    std::vector<std::filesystem::path> files;
    if (folder.empty()) return files;
    for (const PlannedTensor& planned : plan.tensors)
        for (uint64_t expert = 0; planned.learning && expert < planned.plan->source().experts; ++expert)
            files.push_back(trace_path(folder, name_of_matrix(plan, planned, expert)));
    return files;
}

}  // namespace halftone
