#include "core/report/verify_report.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>

#include "core/base/error.hpp"
#include "core/base/json_text.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/compare/measures.hpp"

namespace halftone {
namespace {

constexpr const char *run_key = "run", *verified_key = "verified", *error_key = "relmse";

std::string listed_formats(const Verification& verification) {
    std::map<std::string, uint64_t> layers;
    for (const VerifiedLayer& layer : verification.layers)
        ++layers[layer.shown];
    std::vector<std::string> parts;
    for (const auto& [shown, count] : layers)
        parts.push_back(fmt::format("{} {}", text::grouped(count), text::printable(shown)));
    return text::join(parts, ", ");
}

Json number(double value) {
    return std::isfinite(value) ? Json(value) : Json();
}

}  // namespace

std::string verify_summary(const Verification& verification) {
    std::string summary = text::plural(verification.tensors, "tensor");
    if (!verification.layers.empty())
        summary +=
            fmt::format(", {} decoded: {}", text::plural(verification.layers.size(), "quantized layer"),
                        listed_formats(verification));
    summary += "\n";
    if (verification.compared) {
        summary += fmt::format("against the input: {} copied, {} cast, {} left out on purpose",
                               text::grouped(verification.copied), text::grouped(verification.cast),
                               text::grouped(verification.left_out));
        const auto worst = std::ranges::max_element(verification.layers, {}, [](const VerifiedLayer& layer) {
            return layer.relative_squared_error.value_or(-1);
        });
        if (worst != verification.layers.end() && worst->relative_squared_error)
            summary += fmt::format("; the least SQNR is {:.2f} dB, of {}",
                                   decibels(*worst->relative_squared_error), text::printable(worst->name));
        summary += "\n";
    }
    if (verification.recorded > 0)
        summary +=
            fmt::format("compared with the report: {}\n", text::plural(verification.recorded, "error"));
    if (!verification.remarks.empty()) summary += "worth a look:\n" + findings_text(verification.remarks);
    if (verification.findings.empty()) return summary + "nothing is wrong\n";
    return summary + fmt::format("{}:\n{}", text::plural(verification.findings.size(), "finding"),
                                 findings_text(verification.findings));
}

std::string findings_text(const std::vector<Finding>& findings) {
    constexpr size_t most = 50, most_named = 3;  // groups, and places beside the first of each
    const std::vector<FindingGroup> groups = grouped(findings);
    std::string text;
    size_t shown = 0;
    for (size_t i = 0; i < std::min(most, groups.size()); ++i) {
        const auto& [where, what] = groups[i];
        shown += where.size();
        // Its first line, and what there is to say below it.
        const size_t end = std::min(what.find('\n'), what.size());
        text += "  " + (where[0].empty() ? "" : text::printable(where[0]) + ": ") +
                text::printable(what.substr(0, end), std::string::npos) + "\n";
        for (const std::string& line : text::split(std::string_view(what).substr(end), '\n'))
            if (!line.empty()) text += "    " + text::printable(line, std::string::npos) + "\n";
        if (where.size() == 1) continue;
        std::vector<std::string> more;
        for (size_t k = 1; k < std::min(where.size(), 1 + most_named); ++k)
            more.push_back(text::printable(where[k]));
        if (where.size() > 1 + most_named) more.emplace_back("...");
        text += fmt::format("    and {} more: {}\n", text::grouped(where.size() - 1), text::join(more, ", "));
    }
    if (groups.size() > most) text += fmt::format("  and {} more\n", text::grouped(findings.size() - shown));
    return text;
}

Json verify_json(const Verification& verification) {
    Json whole;
    whole["findings"] = Json::array();
    for (const Finding& finding : verification.findings)
        whole["findings"].push_back({{"where", finding.where}, {"what", finding.what}});
    whole["remarks"] = Json::array();
    for (const Finding& remark : verification.remarks)
        whole["remarks"].push_back({{"where", remark.where}, {"what", remark.what}});
    whole["tensors"] = verification.tensors;
    whole["layers"] = Json::array();
    for (const VerifiedLayer& layer : verification.layers) {
        Json one{{"name", layer.name}, {"stored", layer.shown}};
        if (layer.relative_squared_error) {
            one[error_key] = number(*layer.relative_squared_error);
            one["sqnr"] = number(decibels(*layer.relative_squared_error));
        }
        whole["layers"].push_back(std::move(one));
    }
    if (verification.compared) {
        whole["copied"] = verification.copied;
        whole["converted"] = verification.cast;
        whole["left_out"] = verification.left_out;
        whole["recorded"] = verification.recorded;
    }
    return whole;
}

Json errors_json(const Verification& verification) {
    Json errors = Json::object();
    for (const VerifiedLayer& layer : verification.layers)
        if (layer.relative_squared_error)
            errors[layer.name] = {{error_key, number(*layer.relative_squared_error)},
                                  {"sqnr", number(decibels(*layer.relative_squared_error))}};
    return errors;
}

std::map<std::string, double> recorded_errors(const std::filesystem::path& report) {
    std::ifstream file(report, std::ios::binary);
    if (!file) fail(Exit::input, os::utf8(report), "cannot be read");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const Json whole = parse_json(text);
    const Json* errors = whole.is_object() && whole.contains(run_key) ? &whole[run_key] : nullptr;
    errors =
        errors && errors->is_object() && errors->contains(verified_key) ? &(*errors)[verified_key] : nullptr;
    if (!errors || !errors->is_object())
        throw Error(Exit::input, os::utf8(report), "is no report of a run that read its output back",
                    "'halftone run --verify' with [report] json writes one");
    std::map<std::string, double> result;
    for (const auto& [name, error] : errors->items())
        if (error.is_object() && error.contains(error_key) && error[error_key].is_number())
            result.emplace(name, error[error_key].get<double>());
    return result;
}

}  // namespace halftone
