#include "core/report/run_report.hpp"

#include <cmath>
#include <fmt/format.h>
#include <set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/json_reader.hpp"
#include "core/report/plan_report.hpp"
#include "core/report/verify_report.hpp"

namespace halftone {
namespace {

double gigabytes_per_second(const Plan& plan, double seconds) {
    return seconds > 0 ? static_cast<double>(plan.totals.bytes_before) / seconds / 1e9 : 0;
}

// In the unit that shows two digits: runs over little are no "0.00 GB/s".
std::string speed(double gigabytes) {
    if (gigabytes >= 0.1) return fmt::format("{:.2f} GB/s", gigabytes);
    if (gigabytes >= 1e-4) return fmt::format("{:.1f} MB/s", gigabytes * 1e3);
    return fmt::format("{:.1f} kB/s", gigabytes * 1e6);
}

// "learned the rounding of 56 matrices: projected error 0.34, squared error 1.02 of round to nearest's (root
// mean square and mean over matrices)"
std::string learned_line(const std::vector<LearnedOutcome>& learned) {
    double objective = 0, squared = 0;
    uint64_t unimproved = 0;
    for (const LearnedOutcome& one : learned) {
        objective += one.objective * one.objective;
        squared += one.squared_error;
        unimproved += !one.improved;
    }
    const auto n = static_cast<double>(learned.size());
    std::string line = fmt::format(
        "learned the rounding of {}: on average {:.3f} of round to nearest's error in what was minimized, "
        "{:.3f} "
        "of its squared error",
        text::plural(learned.size(), "matrix", "matrices"), std::sqrt(objective / n), squared / n);
    if (unimproved > 0) line += fmt::format("; {} stay rounded to nearest", unimproved);
    return line + "\n";
}

}  // namespace

std::string run_summary(const Plan& plan, const RunFigures& figures) {
    std::string text = plan_overview(plan);
    if (!figures.outcome.learned.empty()) text += learned_line(figures.outcome.learned);
    for (const auto& [reason, count] : figures.outcome.rounded_on_cpu)
        text += fmt::format("the CPU rounded {} to nearest, since {}\n",
                            text::plural(count, "matrix", "matrices"), text::printable(reason, 300));
    if (figures.verification) text += "read back: " + verify_summary(*figures.verification);
    text += fmt::format("took {} on {}, {}", text::duration(figures.seconds),
                        text::plural(figures.threads, "thread"),
                        speed(gigabytes_per_second(plan, figures.seconds)));
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
    for (const LearnedOutcome& one : figures.outcome.learned) {
        Json entry;
        entry["objective"] = one.objective;
        entry["squared_error"] = one.squared_error;
        entry["improved"] = one.improved;
        entry["candidates"] = one.candidates;
        entry["seconds"] = one.seconds;
        run["learned"][one.name] = std::move(entry);
    }
    for (const auto& [reason, count] : figures.outcome.rounded_on_cpu)
        run["rounded_on_cpu"][reason] = count;
    if (figures.verification) run["verified"] = errors_json(*figures.verification);
    whole["run"] = std::move(run);
    return whole;
}

// As a stream: a report grows with the model, and the file may be anything.
bool is_run_report(const std::filesystem::path& path) {
    std::set<std::string, std::less<>> missing = {"input", "output", "profile", "tensors", "totals", "run"};
    try {
        const os::File file = os::File::open_to_read(path);
        constexpr unsigned depth = 32;
        JsonReader json({os::utf8(path), "report", 0, depth, chunks_of(file, 0, file.size())});
        if (json.peek() != JsonReader::Kind::object) return false;
        json.begin_object();
        for (std::string key; json.next_member(key); json.skip())
            missing.erase(key);
        json.finish();
    } catch (const Error&) {
        return false;
    }
    return missing.empty();
}

}  // namespace halftone
