#include "core/cli/dequantize_command.hpp"

#include <map>
#include <ostream>

#include "core/base/error.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/foreign_format.hpp"
#include "core/cli/checkpoint_arguments.hpp"
#include "core/cli/progress.hpp"
#include "core/cli/run_files.hpp"
#include "core/plan/dequantize.hpp"
#include "core/run/execute.hpp"
#include "core/run/job_memory.hpp"

namespace halftone::cli {
namespace {

void declare(Arguments& arguments) {
    arguments.operand("IN", true, "a quantized checkpoint")
        .option("output,o", "FILE", "the file to write")
        .option("shapes-from", "MODEL", "what it was made from: tells shapes of layers that are stored flat")
        .flag("force,f", "replace an existing output")
        .option("shard-size", "SIZE", "write several files of at most this size, and their index");
    arguments
        .repeated("remove-unknown", "GLOB",
                  "leave out tensors that a quantized layer has beside what its format knows")
        .repeated("keep-unknown", "GLOB", "copy such tensors");
    add_dtype_argument(arguments);
    add_worker_arguments(arguments);
    arguments.flag("no-progress", "no progress while running");
}

DequantizeSettings settings_from(const Arguments& arguments) {
    if (!arguments.has("output"))
        throw Error(Exit::usage, "", "--output is missing", "for example: -o model-bf16.safetensors");
    DequantizeSettings settings;
    settings.input = arguments.text("IN");
    settings.output = arguments.text("output");
    refuse_foreign_name(settings.output, "--output");
    settings.replace = arguments.has("force");
    settings.shard_size = arguments.bytes("shard-size").value_or(0);
    settings.dtype = dtype_from(arguments);
    settings.keep_unknown = arguments.all("keep-unknown");
    settings.remove_unknown = arguments.all("remove-unknown");
    return settings;
}

// "57 layers were acme.int4 block=32, 1 layer was acme.thirds"
std::string formats_before(const Plan& plan) {
    std::map<std::string, uint64_t> layers;
    for (const PlannedTensor& planned : plan.tensors)
        if (planned.action == Action::cast)
            ++layers[planned.stored ? planned.stored->shown : "8-bit floating point without a scale"];
    std::vector<std::string> parts;
    for (const auto& [shown, count] : layers)
        parts.push_back(fmt::format("{} {} {}", text::plural(count, "layer"), count == 1 ? "was" : "were",
                                    text::printable(shown)));
    return text::join(parts, ", ");
}

int dequantize(Context& context, const Arguments& arguments) {
    os::catch_interrupts();
    const double started = os::seconds();
    DequantizeSettings settings = settings_from(arguments);
    if (arguments.has("shapes-from"))
        settings.model = open_checkpoint(context, arguments.text("shapes-from"));
    const std::shared_ptr<Registry> registry = context.registry();
    Workers::Settings workers_settings = workers_from(arguments);
    Plan plan = make_dequantize_plan(settings, *registry);
    plan.pipeline.run.memory = workers_settings.memory;
    workers_settings.memory = memory_for(plan);
    for (const std::string& warning : plan.warnings)
        context.log.warning(warning);
    Workers workers(std::move(workers_settings));
    registry->host().set_memory_budget(workers.memory());
    const std::unique_ptr<Output> output = start_output(context, plan);
    Progress progress;
    set_totals(progress, plan);
    {
        const ProgressDisplay shown = show_progress(context, progress, !arguments.has("no-progress"));
        execute(plan, *output, workers, progress);
    }
    refuse_changed_inputs(plan);
    output->commit();
    if (context.log.settings().least > Level::info) return static_cast<int>(Exit::done);
    context.out << fmt::format("{}, now {}; {} kept\n", formats_before(plan), dtype::name(settings.dtype),
                               text::plural(plan.totals.kept, "other tensor"))
                << fmt::format("{} -> {} in {}\n", text::bytes(plan.totals.bytes_before),
                               text::bytes(plan.totals.bytes_after), text::duration(os::seconds() - started))
                << written_lines(plan, "wrote");
    return static_cast<int>(Exit::done);
}

}  // namespace

Command dequantize_command() {
    return make_command(
        {.name = "dequantize",
         .summary = "make plain numbers of a quantized checkpoint",
         .synopsis = "halftone dequantize IN -o OUT [options]",
         .about =
             "Writes a checkpoint in which every quantized layer is stored as plain numbers again, in the\n"
             "basis and shape that it had before. Scales, markers and what the header says about them\n"
             "are left out; everything else is copied."},
        declare, dequantize);
}

}  // namespace halftone::cli
