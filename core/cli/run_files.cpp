#include "core/cli/run_files.hpp"

#include <algorithm>
#include <set>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/partial_file.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/output_names.hpp"
#include "core/plan/plan_files.hpp"
#include "core/run/execute.hpp"
#include "core/run/learned_job.hpp"
#include "core/run/trace.hpp"

namespace halftone::cli {
namespace {

namespace fs = std::filesystem;

// With links resolved as far as the path exists.
fs::path resolved(const fs::path& path) {
    std::error_code ignored;
    const fs::path absolute = fs::absolute(path, ignored);
    fs::path result = fs::weakly_canonical(absolute, ignored);
    return result.empty() ? absolute.lexically_normal() : result;
}

// The part of a path below a folder; empty if it is not there.
fs::path below(const fs::path& path, const fs::path& folder) {
    const fs::path whole = resolved(path), base = resolved(folder);
    const auto [at, end] = std::mismatch(base.begin(), base.end(), whole.begin(), whole.end());
    fs::path rest;
    if (at != base.end()) return rest;
    for (auto part = end; part != whole.end(); ++part)
        rest /= *part;
    return rest.empty() ? fs::path(".") : rest;
}

bool is_hidden(const fs::path& path) {
    return std::any_of(path.begin(), path.end(), [](const fs::path& part) {
        return part.native().starts_with('.') && part != "." && part != "..";
    });
}

class Check {
  public:
    explicit Check(const Plan& plan) : plan_(plan), read_(files_read(plan)), outputs_(output_files(plan)) {
        outputs_.push_back(index_path(plan.pipeline.output.path));  // would make one of a single file, too
    }

    void check() {
        const Pipeline& pipeline = plan_.pipeline;
        if (pipeline.output.path_from_file && pipeline.output.path.extension() != ".safetensors")
            throw Error(Exit::usage, pipeline.output.where,
                        fmt::format("an output that a pipeline names must be called *.safetensors, not {}",
                                    quoted(pipeline.output.path.filename())),
                        "-o takes any name");
        if (!pipeline.report.json.empty()) check_report();
        if (!pipeline.report.trace.empty()) check_traces();
    }

  private:
    void check_report() const {
        const Pipeline::Report& report = plan_.pipeline.report;
        const Refusal refuse{report.json_where, "[report] json", report.json,
                             "name another file for the report"};
        if (report.json_from_file) {
            check_place(report.json, refuse, "--set report.json=FILE");
            if (report.json.extension() != ".json")
                refuse("must be called *.json where a pipeline names it",
                       "the command line may name any file: --set report.json=FILE");
        }
        if (!fs::is_directory(folder_of(report.json))) refuse("lies in a folder that does not exist");
        check_target(report.json, refuse, is_run_report, "report");
    }

    void check_traces() const {
        const Pipeline::Report& report = plan_.pipeline.report;
        const Refusal refuse{report.trace_where, "[report] trace", report.trace,
                             "name another folder for traces"};
        if (report.trace_from_file) check_place(report.trace, refuse, "--set report.trace=FOLDER");
        std::error_code ignored;
        const fs::file_type type = fs::status(report.trace, ignored).type();
        if (type != fs::file_type::not_found && type != fs::file_type::directory) refuse("is no folder");
        if (type == fs::file_type::not_found && is_taken(report.trace))
            refuse("is a link to something that does not exist");
        for (const fs::path& file : trace_files(plan_)) {
            check_target(file, {report.trace_where, "[report] trace", file, "name another folder for traces"},
                         is_trace, "trace");
            if (!report.json.empty() && resolved(file) == resolved(report.json))
                refuse("would get a trace where the report goes");
        }
    }

    // The first place in the file or on the command line, then what is wrong with the path.
    struct Refusal {
        std::string where, key;
        fs::path path;
        std::string advice;
        [[noreturn]] void operator()(const std::string& what, const std::string& other_advice = {}) const {
            throw Error(Exit::usage, where, fmt::format("{}: {} {}", key, quoted(path), what),
                        other_advice.empty() ? advice : other_advice);
        }
    };

    void check_place(const fs::path& path, const Refusal& refuse, const std::string& option) const {
        const fs::path folder = folder_of(plan_.pipeline.output.path);
        const fs::path rest = below(path, folder);
        const std::string advice = "name a place there, or allow this one on the command line: " + option;
        if (rest.empty())
            refuse(
                fmt::format("is outside the output's folder {}, where a pipeline may write", quoted(folder)),
                advice);
        if (is_hidden(rest)) refuse("is hidden; a pipeline may name visible files and folders only", advice);
    }

    void check_target(const fs::path& path, const Refusal& refuse, bool (*is_ours)(const fs::path&),
                      const std::string& kind) const {
        if (is_taken(path) && !fs::exists(path)) refuse("is a link to something that does not exist");
        for (const fs::path& output : outputs_)
            if (resolved(path) == resolved(output) || os::same_file(path, output)) refuse("is the output");
        if (!fs::exists(path)) return;
        if (fs::is_directory(path)) refuse("is a folder");
        if (!fs::is_regular_file(path)) refuse("is no regular file");
        for (const fs::path& file : read_)
            if (os::same_file(path, file)) refuse(fmt::format("is {}, which the run reads", quoted(file)));
        const Pipeline::Output& output = plan_.pipeline.output;
        const bool forced = output.replace && !output.replace_from_file;
        if (!forced && !is_ours(path))
            refuse(fmt::format("exists and is no {} of an earlier run", kind), "--force replaces it");
    }

    const Plan& plan_;
    std::vector<fs::path> read_, outputs_;
};

std::string text_of(const fs::path& path) {
    return text::printable(os::utf8(path.lexically_normal()), std::string::npos);
}

}  // namespace

void check_written_files(const Plan& plan) {
    Check(plan).check();
}

std::unique_ptr<Output> start_output(Context& context, const Plan& plan) {
    std::unique_ptr<Output> output = open_output(plan);
    for (const fs::path& file : output->earlier().removed)
        context.log.info(fmt::format("removed {}, which a run that was killed had left", text_of(file)));
    for (const fs::path& file : output->earlier().left)
        context.log.warning(
            fmt::format("{} is of another run that may be at work; remove it if none is", text_of(file)));
    return output;
}

void make_trace_folder(const Plan& plan) {
    const fs::path& folder = plan.pipeline.report.trace;
    if (folder.empty()) return;
    std::error_code problem;
    fs::create_directories(folder, problem);
    if (problem)
        fail(problem == std::errc::no_space_on_device ? Exit::space : Exit::failed, os::utf8(folder),
             "cannot make a folder for traces: {}", problem.message());
    sweep_partials(folder, [](const std::string& name) { return name.ends_with(".jsonl"); });
}

void write_report(const Plan& plan, const RunFigures& figures) {
    const fs::path& path = plan.pipeline.report.json;
    if (path.empty()) return;
    Json report = run_json(plan, figures);
    add_written_files(report, plan);
    // A link that the command line named stays one.
    const fs::path target = fs::is_symlink(path) ? resolved(path) : path;
    try {
        sweep_partials(folder_of(target),
                       [&](const std::string& name) { return name == name_in_partials(target); });
        write_whole(target, pretty(report));
    } catch (const Error& error) {
        throw Error(
            error.code(), os::utf8(path),
            fmt::format("the report could not be written, but the output is complete: {}", error.problem()),
            error.advice());
    }
}

void remove_earlier_traces(const Plan& plan) {
    const fs::path& folder = plan.pipeline.report.trace;
    if (folder.empty()) return;
    std::set<fs::path> own;
    for (const fs::path& file : trace_files(plan))
        own.insert(file.filename());
    std::vector<fs::path> earlier;
    std::error_code error, ignored;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        if (at->path().extension() == ".jsonl" && !own.contains(at->path().filename()) &&
            fs::is_regular_file(at->symlink_status(ignored)) && is_trace(at->path()))
            earlier.push_back(at->path());
    for (const fs::path& file : earlier)
        fs::remove(file, ignored);
}

std::vector<fs::path> written_files(const Plan& plan) {
    std::vector<fs::path> files = output_files(plan);
    if (!plan.pipeline.report.json.empty()) files.push_back(plan.pipeline.report.json);
    if (!plan.pipeline.report.trace.empty()) files.push_back(plan.pipeline.report.trace / "");
    return files;
}

void add_written_files(Json& json, const Plan& plan) {
    Json files = Json::array();
    for (const fs::path& file : written_files(plan))
        files.push_back(os::utf8(file));
    json["writes"] = std::move(files);
}

std::string written_lines(const Plan& plan, std::string_view verb) {
    std::string lines;
    for (const fs::path& file : written_files(plan))
        lines += fmt::format("{} {}\n", verb, text_of(file));
    return lines;
}

}  // namespace halftone::cli
