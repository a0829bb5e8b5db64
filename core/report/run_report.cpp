#include "core/report/run_report.hpp"

#include <fmt/format.h>

#include "core/base/text.hpp"
#include "core/report/plan_report.hpp"

namespace halftone {
namespace {

double gigabytes_per_second(const Plan& plan, double seconds) {
    return seconds > 0 ? static_cast<double>(plan.totals.bytes_before) / seconds / 1e9 : 0;
}

}  // namespace

std::string run_summary(const Plan& plan, const RunFigures& figures) {
    std::string text = plan_overview(plan);
    text += fmt::format("took {} on {} threads, {:.2f} GB/s", text::duration(figures.seconds),
                        figures.threads, gigabytes_per_second(plan, figures.seconds));
    if (figures.anonymous_memory_peak)
        text += fmt::format(", {} of memory", text::bytes(figures.anonymous_memory_peak));
    return text + "\n";
}

Json run_json(const Plan& plan, const RunFigures& figures) {
    Json whole = plan_json(plan);
    Json run;
    run["seconds"] = figures.seconds;
    run["threads"] = figures.threads;
    run["gb_per_second"] = gigabytes_per_second(plan, figures.seconds);
    run["anonymous_memory_peak"] = figures.anonymous_memory_peak;
    whole["run"] = std::move(run);
    return whole;
}

}  // namespace halftone
