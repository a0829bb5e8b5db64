#include "core/cli/verify_command.hpp"

#include <filesystem>
#include <ostream>

#include "core/base/error.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/cli/checkpoint_arguments.hpp"
#include "core/cli/progress.hpp"
#include "core/report/verify_report.hpp"
#include "core/verify/verify.hpp"

namespace halftone::cli {
namespace {

void declare(Arguments& arguments) {
    arguments.operand("FILE", true, "the checkpoint to look at: a file, an index of shards or a folder")
        .option("against", "INPUT", "what it was made from: nothing may be lost, and errors are measured")
        .option("report", "JSON",
                "the report of the run that made it, with --verify: errors must be those of then")
        .flag("json", "print everything as JSON");
    add_worker_arguments(arguments);
    arguments.flag("no-progress", "no progress while running");
}

// A file that is there and cannot be read is a finding, not a mistake of the caller.
std::shared_ptr<const Checkpoint> open_or_tell(Context& context, const std::string& path,
                                               Verification& verification) {
    if (!std::filesystem::exists(path)) return open_checkpoint(context, path);
    try {
        return open_checkpoint(context, path);
    } catch (const Error& error) {
        if (error.code() != Exit::input) throw;
        verification.findings.push_back({error.where(), error.problem()});
        return nullptr;
    }
}

int verify(Context& context, const Arguments& arguments) {
    os::catch_interrupts();
    if (arguments.has("report") && !arguments.has("against"))
        throw Error(Exit::usage, "--report", "errors can only be measured against the input",
                    "name it: --against INPUT");
    const std::string path = arguments.text("FILE");
    Workers workers(workers_from(arguments));
    VerifySettings settings;
    if (arguments.has("against")) settings.against = open_checkpoint(context, arguments.text("against"));
    if (arguments.has("report")) settings.recorded = recorded_errors(arguments.text("report"));
    Verification verification;
    if (const auto file = open_or_tell(context, path, verification)) {
        const std::shared_ptr<Registry> registry = context.registry();
        registry->host().set_memory_budget(workers.memory());
        Verifier verifier(file, std::move(settings), *registry);
        Progress progress;
        verifier.set_totals(progress);
        const ProgressDisplay shown = show_progress(context, progress, !arguments.has("no-progress"));
        verification = verifier.run(workers, progress);
        file->refuse_changes();
    }
    if (arguments.has("json"))
        context.out << pretty(verify_json(verification));
    else
        context.out << verify_summary(verification);
    if (verification.findings.empty()) return static_cast<int>(Exit::done);
    context.out.flush();
    throw Error(Exit::failed, path, text::plural(verification.findings.size(), "finding"));
}

}  // namespace

Command verify_command() {
    return make_command(
        {.name = "verify",
         .summary = "check that a checkpoint is sound and complete",
         .synopsis = "halftone verify FILE [options]",
         .about = "Rereads a checkpoint from disk: every layer that its header tells of is there and the "
                  "other way\n"
                  "round, every quantized layer is decoded whole, and its scales make sense. With its input, "
                  "every\n"
                  "tensor is accounted for, too: copied to the byte, cast, quantized with an error that is\n"
                  "measured, or left out by its recipe. The exit code is 1 if something is wrong."},
        declare, verify);
}

}  // namespace halftone::cli
