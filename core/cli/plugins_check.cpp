#include "core/cli/plugins_check.hpp"

#include <algorithm>
#include <ostream>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/report/table.hpp"
#include "plugins/conformance/conformance.hpp"

namespace halftone::cli {
namespace {

using conformance::Outcome, conformance::Report, conformance::Result;

const char* told(Outcome outcome) {
    return outcome == Outcome::ok ? "ok" : outcome == Outcome::failed ? "FAILED" : "not applicable";
}

void print_json(Context& context, const PluginLibrary& library, const Report& report, uint64_t seed) {
    Json whole;
    whole["kind"] = "format";
    whole["id"] = library.file().id;
    whole["path"] = os::utf8(library.file().path);
    whole["seed"] = seed;
    whole["passed"] = report.passed();
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

void print_text(Context& context, const PluginLibrary& library, const Report& report, uint64_t seed) {
    context.out << fmt::format("{} {}, {}\n\n", library.name(), library.descriptor().version,
                               text::printable(os::utf8(library.file().path), std::string::npos));
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
    context.out << (report.passed() ? fmt::format("passed, with {} matrices", report.matrices)
                                    : fmt::format("{} of {} checks failed, with {} matrices", failed,
                                                  report.results.size(), report.matrices))
                << fmt::format(" ({} refused) and --seed {}\n", report.refused, seed);
}

}  // namespace

int check_plugin(Context& context, std::shared_ptr<PluginLibrary> library, uint64_t seed, bool json) {
    if (library->descriptor().kind != HT_KIND_FORMAT)
        throw Error(Exit::usage, library->name(), "only formats can be checked yet");
    const Report report = conformance::check_format(library, seed);
    if (json)
        print_json(context, *library, report, seed);
    else
        print_text(context, *library, report, seed);
    return static_cast<int>(report.passed() ? Exit::done : Exit::plugin);
}

}  // namespace halftone::cli
