#include "tests/unit/pipeline/pipelines.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace halftone {
namespace {

std::string shown(const GivenOptions& options) {
    std::string result;
    for (const auto& [name, given] : options)
        std::visit(
            [&](const auto& value) {
                result += fmt::format(" {}({})={}", name, given.value.index(), fmt::format("{}", value));
            },
            given.value);
    return result;
}

std::string shown(const PluginChoice& choice) {
    return fmt::format("<{}{}>", choice.id, shown(choice.options));
}

std::string shown(const Treatment& treatment) {
    return fmt::format("{} {} {}", shown(treatment.format), shown(treatment.optimizer),
                       treatment.full_precision_matrix_mult
                           ? (*treatment.full_precision_matrix_mult ? "full" : "any")
                           : "as found");
}

}  // namespace

std::string fingerprint(const Pipeline& p) {
    std::string result = fmt::format(
        "input {}\noutput {} {} {} {} {} {} {}\nquantize {} {} {} {}\nrun {} {} {} {}\nreport {}\nmodel {}\n",
        p.input.path.string(), p.output.path.string(), p.output.replace, static_cast<int>(p.output.kept),
        p.output.shard_size, p.output.layout, static_cast<int>(p.output.metadata), p.output.recipe,
        shown(p.quantize.treatment), shown(p.quantize.embeddings), static_cast<int>(p.quantize.on_refusal),
        static_cast<int>(p.quantize.on_nonfinite), p.run.threads, p.run.memory, p.run.device, p.run.verify,
        p.report.json.string(), fmt::join(p.model.profiles, ","));
    for (const auto& [id, options] : p.model.options)
        result += fmt::format("profile {}{}\n", id, shown(options));
    for (const Rule& rule : p.rules)
        result += fmt::format("rule {} match {} regex {} action {} {} reason {}\n", rule.name,
                              fmt::join(rule.match, "|"), fmt::join(rule.regex, "|"),
                              static_cast<int>(rule.action), shown(rule.treatment), rule.reason);
    if (p.fallback) result += fmt::format("fallback {}\n", shown(*p.fallback));
    return result;
}

std::filesystem::path source_root() {
    for (std::filesystem::path folder = std::filesystem::current_path(); folder.has_relative_path();
         folder = folder.parent_path())
        if (std::filesystem::exists(folder / "core/pipeline/pipeline.hpp")) return folder;
    const std::filesystem::path here = __FILE__;
    return here.parent_path().parent_path().parent_path().parent_path();
}

std::string content_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

}  // namespace halftone
