#include "core/cli/plugins_check.hpp"

#include <algorithm>
#include <ostream>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/report/table.hpp"
#include "plugins/conformance/conformance.hpp"

namespace halftone::cli {
namespace {

using conformance::Outcome, conformance::Report, conformance::Result;

const char* told(Outcome outcome) {
    switch (outcome) {
        case Outcome::ok:
            return "ok";
        case Outcome::failed:
            return "FAILED";
        case Outcome::unfinished:
            return "not finished";
        default:
            return "not applicable";
    }
}

void print_json(Context& context, const Report& report, uint64_t seed) {
    Json whole;
    whole["kind"] = report.subject.kind;
    whole["id"] = report.subject.id;
    whole["path"] = report.subject.path;
    whole["seed"] = seed;
    whole["passed"] = report.passed();
    whole["finished"] = report.finished;
    whole["matrices"] = report.matrices;
    whole["refused"] = report.refused;
    whole["checks"] = Json::array();
    for (const Result& result : report.results) {
        Json row;
        row["check"] = result.check;
        row["promise"] = result.promise;
        row["outcome"] = result.outcome == Outcome::failed ? "failed" : told(result.outcome);
        row["cases"] = result.cases;
        if (!result.detail.empty()) row["detail"] = result.detail;
        whole["checks"].push_back(std::move(row));
    }
    whole["remarks"] = report.remarks;
    context.out << pretty(whole);
}

void print_text(Context& context, const Report& report, uint64_t seed) {
    context.out << fmt::format("{} {}, {}\n\n", report.subject.name, report.subject.version,
                               text::printable(report.subject.path, std::string::npos));
    TextTable table;
    table.columns = {{"check"}, {"promise"}, {"outcome"}, {"cases", true}};
    table.elastic = 1;
    for (const Result& result : report.results)
        table.rows.push_back(
            {result.check, result.promise, told(result.outcome), std::to_string(result.cases)});
    context.out << table.text(context.terminal ? context.width : 0) << "\n";
    for (const Result& result : report.results)
        if (result.outcome == Outcome::failed)
            context.out << fmt::format("{}: {}\n", result.check,
                                       text::printable(result.detail, std::string::npos));
    for (const std::string& remark : report.remarks)
        context.out << fmt::format("note: {}\n", text::printable(remark, std::string::npos));
    const auto failed = std::ranges::count(report.results, Outcome::failed, &Result::outcome);
    std::string verdict = report.passed() ? "passed"
                          : report.finished
                              ? fmt::format("{} of {} checks failed", failed, report.results.size())
                              : "the check could not be finished";
    if (report.matrices + report.refused > 0)
        verdict += fmt::format(", with {} matrices ({} refused)", report.matrices, report.refused);
    context.out << fmt::format("{}, --seed {}\n", verdict, seed);
}

}  // namespace

int check_plugin(Context& context, const PluginCheck& wanted) {
    const Report report = conformance::check_in_child(
        wanted.load,
        {.seed = wanted.seed, .named = wanted.named, .labels_of_others = wanted.labels_of_others},
        wanted.timeout);
    if (wanted.json)
        print_json(context, report, wanted.seed);
    else
        print_text(context, report, wanted.seed);
    return static_cast<int>(report.passed() ? Exit::done : Exit::plugin);
}

}  // namespace halftone::cli
