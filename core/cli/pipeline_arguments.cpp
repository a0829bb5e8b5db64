#include "core/cli/pipeline_arguments.hpp"

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/cli/checkpoint_arguments.hpp"

namespace halftone::cli {
namespace {

std::string quoted_path(const std::string& path, const std::string& option) {
    if (path.empty()) throw Error(Exit::usage, option, "the path is empty");
    return text::toml_quoted(os::utf8(std::filesystem::absolute(path)));
}

Override parsed_override(const std::string& given) {
    const size_t equals = given.find('=');
    if (equals == std::string::npos || equals == 0)
        throw Error(Exit::usage, "--set", fmt::format("'{}' is not KEY=VALUE", text::printable(given)),
                    "for example: --set run.threads=2");
    return {given.substr(0, equals), given.substr(equals + 1), "--set " + given.substr(0, equals)};
}

}  // namespace

void add_pipeline_arguments(Arguments& arguments) {
    arguments.operand("PIPELINE", true, "a TOML file; see docs/pipeline.md")
        .option("input,i", "PATH", "checkpoint to read, instead of [input] path")
        .option("output,o", "FILE", "file to write, instead of [output] path")
        .repeated("set", "KEY=VALUE", "change one key of the pipeline: --set run.threads=2")
        .flag("force,f", "replace an existing output")
        .flag("no-recipe", "leave the recipe out of the output's header");
    add_worker_arguments(arguments);
}

Pipeline pipeline_from(const Arguments& arguments) {
    std::vector<Override> overrides;
    if (arguments.has("input"))
        overrides.push_back({"input.path", quoted_path(arguments.text("input"), "--input"), "--input"});
    if (arguments.has("output"))
        overrides.push_back({"output.path", quoted_path(arguments.text("output"), "--output"), "--output"});
    for (const std::string& given : arguments.all("set"))
        overrides.push_back(parsed_override(given));
    if (arguments.has("force")) overrides.push_back({"output.replace", "true", "--force"});
    if (arguments.has("no-recipe")) overrides.push_back({"output.recipe", "false", "--no-recipe"});
    if (const auto threads = arguments.number("threads", 1, most_threads))
        overrides.push_back({"run.threads", std::to_string(*threads), "--threads"});
    if (arguments.bytes("memory"))
        overrides.push_back({"run.memory", text::toml_quoted(arguments.text("memory")), "--memory"});
    return read_pipeline(arguments.text("PIPELINE"), overrides);
}

}  // namespace halftone::cli
