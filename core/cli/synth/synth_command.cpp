#include "core/cli/synth/synth_command.hpp"

#include <ostream>

#include "core/base/error.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/cli/checkpoint_arguments.hpp"
#include "core/cli/progress.hpp"
#include "core/cli/synth/describe.hpp"
#include "core/cli/synth/model.hpp"

namespace halftone::cli {
namespace {

using namespace synth;

constexpr unsigned most_layers = 10'000;

void declare(Arguments& arguments) {
    arguments.operand("FILE", false, "with --describe: the checkpoint to measure")
        .option("family", "NAME", "whose names and shapes: flux, t5xxl (see --list)")
        .option("layers", "N", "repeated blocks (default: as many as the real model has)")
        .option("scale", "SCALE", "tiny, small or full size (default tiny)");
    add_dtype_argument(arguments);
    arguments.option("seed", "N", "another seed makes other weights (default 1)")
        .option("output,o", "FILE", "the file to write")
        .flag("force", "replace the file if it exists")
        .option("shard-size", "SIZE", "write several files of at most this size, and their index")
        .option("threads", "N", "threads to use; default: one a processor")
        .flag("no-progress", "no progress while writing")
        .flag("list", "list the families and how large they are")
        .flag("describe", "tell the matrices' statistics: what a model would get, or measured in FILE");
}

[[noreturn]] void refuse(const std::string& what, const std::string& advice) {
    throw Error(Exit::usage, "", what, advice);
}

ModelChoice choice_from(const Arguments& arguments) {
    std::vector<std::string> names;
    for (const Family& family : families())
        names.emplace_back(family.name);
    if (!arguments.has("family"))
        refuse("--family is missing", "families: " + text::join(names, ", ") + "; --list tells about them");
    ModelChoice choice;
    choice.family = find_family(arguments.choice("family", names, ""));
    choice.scale = *find_scale(
        arguments.choice("scale", {scale_names.begin(), scale_names.end()}, std::string(scale_names[0])));
    choice.layers =
        static_cast<unsigned>(arguments.number("layers", 1, most_layers).value_or(choice.family->layers));
    choice.dtype = dtype_from(arguments);
    choice.seed = arguments.number("seed", 0, UINT64_MAX).value_or(1);
    return choice;
}

int describe(Context& context, const Arguments& arguments) {
    const int width = context.terminal ? context.width : 0;
    if (!arguments.has("FILE")) {
        context.out << declared_table(choice_from(arguments), width);
        return 0;
    }
    if (arguments.has("family"))
        refuse("--describe is given both a file and a family", "leave out one of them");
    const auto checkpoint = open_checkpoint(context, arguments.text("FILE"));
    Workers workers(workers_from(arguments));
    Progress progress;
    set_totals(progress, *checkpoint);
    std::string table;
    {
        const ProgressDisplay shown = show_progress(context, progress, !arguments.has("no-progress"));
        table = measured_table(*checkpoint, workers, progress, width);
    }
    context.out << table;
    return 0;
}

int write(Context& context, const Arguments& arguments) {
    const ModelChoice choice = choice_from(arguments);
    if (!arguments.has("output")) refuse("--output is missing", "for example: -o model.safetensors");
    const double started = os::seconds();
    ModelWriter::Settings settings;
    settings.output.path = arguments.text("output");
    settings.output.replace = arguments.has("force");
    settings.output.tag = "synth";
    settings.shard_size = arguments.bytes("shard-size").value_or(0);
    const ModelWriter writer(choice, std::move(settings));

    Workers workers(workers_from(arguments));
    Progress progress;
    progress.work_total = progress.bytes_total = writer.tensor_bytes();
    for (const FileLayout& layout : writer.layouts())
        progress.tensors_total += layout.tensors.size();
    std::vector<std::filesystem::path> paths;
    {
        const ProgressDisplay shown = show_progress(context, progress, !arguments.has("no-progress"));
        paths = writer.write(workers, progress);
    }
    const double seconds = os::seconds() - started;
    context.log.info(fmt::format("{}, {}, in {} ({}/s)", text::plural(progress.tensors_total, "tensor"),
                                 text::bytes(writer.tensor_bytes()), text::duration(seconds),
                                 text::bytes(static_cast<uint64_t>(
                                     static_cast<double>(writer.tensor_bytes()) / std::max(seconds, 1e-3)))));
    for (const std::filesystem::path& path : paths)
        context.log.info("wrote " + os::utf8(path));
    return 0;
}

int run_synth(Context& context, const Arguments& arguments) {
    os::catch_interrupts();
    if (arguments.has("list")) {
        context.out << family_table(context.terminal ? context.width : 0);
        return 0;
    }
    if (arguments.has("describe")) return describe(context, arguments);
    if (arguments.has("FILE"))
        refuse(fmt::format("'{}' is one operand too many", text::printable(arguments.text("FILE"))),
               "the file to write is named with -o, one to measure goes with --describe");
    return write(context, arguments);
}

}  // namespace

Command synth_command() {
    return make_command(
        {.name = "synth",
         .summary = "make a model of random weights that look trained",
         .synopsis = "halftone synth --family NAME [options] -o FILE",
         .about =
             "Writes a model with the tensor names and shapes of a family and random weights that have the\n"
             "statistics of trained ones, for tests, benchmarks and trying things out. The same options\n"
             "give the same bytes on every machine, and a layer is the same whatever else is in the file.\n"
             "\n"
             "  halftone synth --family flux --layers 2 -o model.safetensors\n"
             "  halftone synth --list\n"
             "  halftone synth --describe model.safetensors"},
        declare, run_synth);
}

}  // namespace halftone::cli
