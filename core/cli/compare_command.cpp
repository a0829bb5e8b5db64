#include "core/cli/compare_command.hpp"

#include <ostream>

#include "core/base/error.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/cli/checkpoint_arguments.hpp"
#include "core/cli/progress.hpp"
#include "core/compare/compare.hpp"
#include "core/plan/selection.hpp"
#include "core/report/compare_report.hpp"

namespace halftone::cli {
namespace {

void declare(Arguments& arguments) {
    arguments.operand("REFERENCE", true, "the checkpoint to compare with")
        .operand("QUANTIZED", true, "the one to be judged")
        .option("top", "N", "show only the N worst tensors")
        .option(
            "stats", "FILE",
            "sampled inputs of layers (LAYER.inputs): adds what layers' outputs lose, by their weights and "
            "at run time, where loaders round inputs too")
        .repeated("ignore", "GLOB", "compare layers without such tensors, which their formats do not know")
        .flag("no-projection", "leave out the error in the leading singular directions, which takes time")
        .option("fail-above", "FIGURE=BOUND,...",
                "exit code 1 if a tensor is worse: relmse, sqnr, psnr, cosine, max_error, saturated, "
                "projected, output or run_time")
        .flag("json", "print everything as JSON");
    add_worker_arguments(arguments);
    arguments.flag("no-progress", "no progress while running");
}

int compare_files(Context& context, const Arguments& arguments) {
    os::catch_interrupts();
    const std::vector<QualityBound> bounds = arguments.has("fail-above")
                                                 ? parse_bounds(arguments.text("fail-above"))
                                                 : std::vector<QualityBound>();
    CompareSettings settings;
    settings.projection = !arguments.has("no-projection");
    if (!settings.projection && needs_projection(bounds))
        throw Error(Exit::usage, "--fail-above", "the projected error is left out by --no-projection");
    if (needs_statistics(bounds) && !arguments.has("stats"))
        throw Error(Exit::usage, "--fail-above", "errors of outputs need sampled inputs",
                    "name a file of them: --stats FILE");
    const auto top = arguments.number("top", 0, UINT64_MAX);
    Workers workers(workers_from(arguments));
    if (workers.memory_is_limit() && !needs_projection(bounds)) settings.projection_memory = workers.memory();

    const auto reference = open_checkpoint(context, arguments.text("REFERENCE"));
    const auto other = open_checkpoint(context, arguments.text("QUANTIZED"));
    if (arguments.has("stats")) settings.statistics = open_checkpoint(context, arguments.text("stats"));
    const std::shared_ptr<Registry> registry = context.registry();
    registry->host().set_memory_budget(workers.memory());
    NamePatterns ignored(arguments.all("ignore"));
    const Pairing pairing = pair_up(reference, other, *registry,
                                    [&](const Tensor& tensor) { return ignored.matches(tensor.name); });
    for (const std::string& unused : ignored.unused())
        context.log.warning(
            fmt::format("--ignore: '{}' matches no tensor of a quantized layer that its format does not know",
                        text::printable(unused)));
    if (pairing.pairs.empty())
        throw Error(Exit::input, arguments.text("QUANTIZED"),
                    fmt::format("has no tensor that could be compared with one of {}",
                                text::printable(arguments.text("REFERENCE"))),
                    "'halftone inspect' shows what a file holds");
    Progress progress;
    set_totals(progress, pairing, settings);
    Comparison comparison;
    {
        const ProgressDisplay shown = show_progress(context, progress, !arguments.has("no-progress"));
        comparison = compare(*reference, *other, pairing, settings, workers, progress);
        reference->refuse_changes();
        other->refuse_changes();
    }
    if (settings.statistics && !comparison.total.output)
        throw Error(Exit::input, arguments.text("stats"), "has no inputs of a layer that differs",
                    "they are tensors LAYER.inputs, one sample a row");
    const std::vector<std::string> broken = broken_bounds(comparison, bounds);
    if (arguments.has("json")) {
        Json json = compare_json(comparison);
        json["failed"] = broken;
        context.out << pretty(json);
    } else {
        context.out << compare_table(comparison,
                                     {.width = context.terminal ? context.width : 0, .rows = top});
    }
    if (broken.empty()) return static_cast<int>(Exit::done);
    context.out.flush();
    throw Error(Exit::failed, arguments.text("QUANTIZED"), text::join(broken, "; "));
}

}  // namespace

Command compare_command() {
    return make_command(
        {.name = "compare",
         .summary = "measure how far a checkpoint is from another",
         .synopsis = "halftone compare REFERENCE QUANTIZED [options]",
         .about =
             "Reads both and tells for every tensor that differs how large the error is, the worst first.\n"
             "Either may be quantized, or neither. With sampled inputs, layers are ordered by what their\n"
             "outputs lose at run time."},
        declare, compare_files);
}

}  // namespace halftone::cli
