#include "core/cli/check_command.hpp"

#include <ostream>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/cli/checkpoint_arguments.hpp"
#include "core/plan/loader_check.hpp"
#include "core/report/check_report.hpp"

namespace halftone::cli {
namespace {

void declare(Arguments& arguments) {
    arguments.operand("FILE", true, "a safetensors file, an index of shards, or a folder holding one")
        .option("for", "LOADER", "who is to load it: comfyui, comfyui-fork or bitsandbytes")
        .option("loaders", "FILE", "what is known about loaders, over what was installed")
        .option("families", "FILE", "what loaders read of families of models, before what was installed")
        .flag("json", "print every layer and verdict as JSON");
}

int check(Context& context, const Arguments& arguments) {
    const Loaders loaders = Loaders::standard(arguments.text("loaders"));
    if (!arguments.has("for"))
        throw Error(Exit::usage, "", "--for is missing: which loader is it about?",
                    "for example: --for comfyui");
    const Loader& loader = loaders.find(arguments.text("for"));
    const auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(arguments.text("FILE")));
    const bool json = arguments.has("json");
    if (!json) warn_of_remarks(context, *checkpoint);
    const Families families = Families::standard(arguments.text("families"));
    const LoaderCheck found = check_for_loader(checkpoint, *context.registry(), loaders, families, loader);
    context.out << (json ? pretty(check_json(found, loader)) : check_text(found, loader));
    return static_cast<int>(found.passed() ? Exit::done : Exit::failed);
}

}  // namespace

Command check_command() {
    return make_command(
        {.name = "check",
         .summary = "tell whether a loader would take a checkpoint",
         .synopsis = "halftone check FILE --for LOADER [options]",
         .about = "Would ComfyUI, its fork or bitsandbytes load every tensor of the file? Prints for every\n"
                  "kind of layer whether it is taken, since when and what happens to activations, or why it\n"
                  "is refused and what would not be. Exit code 1 if something is refused. Only headers and\n"
                  "markers are read, and of weights those alone that the loader would convert by value.\n"
                  "\n"
                  "  halftone check small.safetensors --for comfyui"},
        declare, check);
}

}  // namespace halftone::cli
