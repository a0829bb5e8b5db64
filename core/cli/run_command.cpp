#include "core/cli/run_command.hpp"

#include <algorithm>
#include <map>
#include <ostream>

#include "core/base/error.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/cli/pipeline_arguments.hpp"
#include "core/cli/progress.hpp"
#include "core/cli/run_files.hpp"
#include "core/report/plan_report.hpp"
#include "core/report/run_report.hpp"
#include "core/report/verify_report.hpp"
#include "core/run/device_lanes.hpp"
#include "core/run/execute.hpp"
#include "core/run/job_memory.hpp"
#include "core/verify/verify.hpp"
#include "core/verify/written_files.hpp"
#include "plugins/late_refusal.hpp"

namespace halftone::cli {
namespace {

void declare_plan(Arguments& arguments) {
    add_pipeline_arguments(arguments);
    arguments.flag("json", "print everything as JSON");
}

void declare_run(Arguments& arguments) {
    add_pipeline_arguments(arguments);
    arguments.flag("dry-run", "print the plan and stop, like 'halftone plan'")
        .flag("verify", "read the output back and check it before it gets its name")
        .flag("json", "print the result as JSON")
        .flag("no-progress", "no progress while running");
}

void warn(Context& context, const Plan& plan) {
    for (const std::string& warning : plan.warnings)
        context.log.warning(warning);
}

void print_plan(Context& context, const Plan& plan, bool json) {
    warn(context, plan);
    try {
        check_written_files(plan);
        check_output(plan);
    } catch (const Error& error) {
        context.log.warning(fmt::format("as things are, a run would fail: {}", error.what()));
    }
    if (!json) {
        context.out << plan_table(plan, {.width = context.terminal ? context.width : 0})
                    << written_lines(plan, "would write");
        return;
    }
    Json whole = plan_json(plan);
    add_written_files(whole, plan);
    context.out << pretty(whole);
}

void check_something_to_do(const Plan& plan) {
    const Pipeline& pipeline = plan.pipeline;
    bool asked = pipeline.quantize.treatment.format.id != "keep" || pipeline.fallback.has_value();
    for (const Rule& rule : pipeline.rules)
        asked |= rule.action == RuleAction::quantize && rule.treatment.format.id != "keep";
    if (asked && plan.totals.quantized == 0)
        throw Error(
            Exit::usage, os::utf8(pipeline.input.path),
            "nothing would be quantized: " +
                (plan.tensors.empty() ? std::string("there are no tensors") : commonest_reasons(plan, 5)),
            "'halftone plan' shows the reason for every tensor");
}

// [quantize] on_nonfinite = "keep" has to look at the weights before the plan can be made.
PlanKnowledge look_at_weights(Context& context, const Plan& plan, Workers& workers, bool show) {
    context.log.info("reading all weights once to find NaN and infinities (on_nonfinite = \"keep\")");
    Progress progress;
    set_totals_of_looking(progress, plan);
    const ProgressDisplay shown = show_progress(context, progress, show);
    return look_for_nonfinite(plan, workers, progress);
}

// A format refused a matrix once it had the weights. Which others it refuses has to be known, too, before the
// plan can be made again without them.
void look_at_refusals(Context& context, const LateRefusal& first, const Plan& plan, Workers& workers,
                      bool show, PlanKnowledge& knowledge) {
    context.log.warning(first.what());
    context.log.warning("starting again with what its format refuses kept (on_refusal = \"keep\")");
    Progress progress;
    set_totals(progress, plan);
    const ProgressDisplay shown = show_progress(context, progress, show);
    knowledge.refused = look_for_refusals(plan, workers, progress).refused;
}

// A device is opened where something would run on it: that takes a while, and its memory.
std::shared_ptr<DeviceLanes> lanes_for(Context& context, const Plan& plan, Registry& registry) {
    const std::string& asked = plan.pipeline.run.device;
    const bool learns =
        std::ranges::any_of(plan.tensors, [](const PlannedTensor& one) { return bool(one.learning); });
    if (asked == "cpu" || (asked == "auto" && !learns)) return nullptr;
    DeviceChoice choice = choose_device(registry, asked, "[run] device");
    if (!choice.device) {
        context.log.debug("everything runs on the CPU: " + choice.why);
        return nullptr;
    }
    context.log.info(fmt::format("using {}", choice.device->info().name));
    return std::make_shared<DeviceLanes>(std::move(choice.device), asked != "auto");
}

void tell_what_the_cpu_did(Context& context, const std::vector<LearnedOutcome>& learned) {
    std::map<std::string, uint64_t> reasons;
    for (const LearnedOutcome& one : learned)
        if (!one.why_on_cpu.empty()) ++reasons[one.why_on_cpu];
    for (const auto& [reason, count] : reasons)
        context.log.warning(fmt::format("the CPU learned {} matrices, since {}", count, reason));
}

// What would be read under the output's name, and whether it is what it should be.
Verification read_back(Context& context, const Plan& plan, const Output& output, Registry& registry,
                       Workers& workers, bool show) {
    context.log.info("reading the output back");
    Verification verification;
    {
        Findings findings;
        Progress progress;
        progress.work_total = progress.bytes_total = bytes_to_reread(output);
        const ProgressDisplay shown = show_progress(context, progress, show);
        check_written(plan, output, workers, progress, findings);
        verification.findings = findings.in_order();
    }
    if (!verification.findings.empty()) return verification;
    std::vector<std::filesystem::path> files = output.temporaries();
    files.resize(plan.files.size());  // without the index
    VerifySettings settings{.against = plan.checkpoint, .removed = std::set<std::string>()};
    for (const PlannedTensor& planned : plan.tensors)
        if (planned.action == Action::remove)
            settings.removed->insert(plan.checkpoint->tensors()[planned.source].name);
    Verifier verifier(
        std::make_shared<const Checkpoint>(Checkpoint::open_parts(plan.pipeline.output.path, files)),
        std::move(settings), registry);
    Progress progress;
    verifier.set_totals(progress);
    const ProgressDisplay shown = show_progress(context, progress, show);
    return verifier.run(workers, progress);
}

void refuse_findings(const Plan& plan, const Verification& verification) {
    if (verification.findings.empty()) return;
    throw Error(Exit::failed, os::utf8(plan.pipeline.output.path),
                "what was read back is not what it should be, and nothing was written under this name",
                findings_text(verification.findings));
}

uint64_t memory_told(Context& context, const Plan& plan) {
    const uint64_t memory = memory_for(plan);
    if (plan.pipeline.run.memory == 0 && memory > Workers::default_memory)
        context.log.warning(
            fmt::format("the largest tensor needs {} of memory at a time, more than the "
                        "usual {}; [run] memory sets a limit",
                        text::bytes(memory), text::bytes(Workers::default_memory)));
    return memory;
}

int plan(Context& context, const Arguments& arguments) {
    const std::shared_ptr<Registry> registry = context.registry();
    const Plan plan = make_plan(pipeline_from(arguments), *registry);
    memory_told(context, plan);  // or an error, as in a run
    print_plan(context, plan, arguments.has("json"));
    return static_cast<int>(Exit::done);
}

// Writes everything that the plan says below temporary names.
Outcome execute_plan(Context& context, const Plan& plan, Workers& workers, bool show,
                     std::unique_ptr<Output>& output) {
    warn(context, plan);
    check_something_to_do(plan);
    check_written_files(plan);

    output = start_output(context, plan);
    Progress progress;
    set_totals(progress, plan);
    make_trace_folder(plan);
    const ProgressDisplay shown = show_progress(context, progress, show);
    return execute(plan, *output, workers, progress);
}

int run(Context& context, const Arguments& arguments) {
    os::catch_interrupts();
    if (arguments.has("dry-run")) return plan(context, arguments);
    const double started = os::seconds();
    const std::shared_ptr<Registry> registry = context.registry();
    Pipeline pipeline = pipeline_from(arguments);
    pipeline.run.verify |= arguments.has("verify");
    Plan plan = make_plan(std::move(pipeline), *registry);
    const bool show = !arguments.has("no-progress");
    Workers workers({.threads = plan.pipeline.run.threads,
                     .memory = memory_told(context, plan),
                     .lanes = lanes_for(context, plan, *registry)});
    registry->host().set_memory_budget(workers.memory());
    PlanKnowledge knowledge;
    if (plan.pipeline.quantize.on_nonfinite == OnNonfinite::keep) {
        knowledge = look_at_weights(context, plan, workers, show);
        refuse_changed_inputs(plan);  // the next plan opens them again
        plan = make_plan(std::move(plan.pipeline), *registry, knowledge);
    }
    std::unique_ptr<Output> output;
    Outcome outcome;
    try {
        outcome = execute_plan(context, plan, workers, show, output);
    } catch (const LateRefusal& refusal) {
        output.reset();
        if (plan.pipeline.quantize.on_refusal != OnRefusal::keep) throw;
        look_at_refusals(context, refusal, plan, workers, show, knowledge);
        refuse_changed_inputs(plan);
        plan = make_plan(std::move(plan.pipeline), *registry, knowledge);
        outcome = execute_plan(context, plan, workers, show, output);
    }
    std::optional<Verification> verification;
    if (plan.pipeline.run.verify) {
        verification = read_back(context, plan, *output, *registry, workers, show);
        refuse_findings(plan, *verification);
        for (const Finding& remark : verification->remarks)
            context.log.warning(remark.where + ": " + remark.what);
    }
    refuse_changed_inputs(plan);
    output->commit();
    tell_what_the_cpu_did(context, outcome.learned);

    const RunFigures figures{.seconds = os::seconds() - started,
                             .anonymous_memory_peak = os::anonymous_memory_peak(),
                             .threads = workers.threads(),
                             .outcome = std::move(outcome),
                             .verification = std::move(verification)};
    remove_earlier_traces(plan);
    write_report(plan, figures);
    if (arguments.has("json")) {
        Json whole = run_json(plan, figures);
        add_written_files(whole, plan);
        context.out << pretty(whole);
    } else if (context.log.settings().style == Log::Style::json)
        context.log.event("done",
                          fmt::format("\"seconds\": {:.3f}, \"quantized\": {}, \"bytes_after\": {}",
                                      figures.seconds, plan.totals.quantized, plan.totals.bytes_after));
    else if (context.log.settings().least <= Level::info) {
        context.out << run_summary(plan, figures) << written_lines(plan, "wrote");
    }
    return static_cast<int>(Exit::done);
}

}  // namespace

Command run_command() {
    return make_command(
        {.name = "run",
         .summary = "quantize a checkpoint",
         .synopsis = "halftone run PIPELINE [options]",
         .about = "Reads a checkpoint, quantizes it as the pipeline says, and writes the result. Under the "
                  "output's\n"
                  "name there is never anything but the old file, nothing, or the complete new one."},
        declare_run, run);
}

Command plan_command() {
    return make_command(
        {.name = "plan",
         .summary = "show what run would do",
         .synopsis = "halftone plan PIPELINE [options]",
         .about = "Prints what 'run' would do with every tensor, and why, without reading weights."},
        declare_plan, plan);
}

}  // namespace halftone::cli
