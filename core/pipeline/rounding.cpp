#include "core/pipeline/rounding.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/document.hpp"

namespace halftone {
namespace {

const std::vector<std::string> words = {"svd", "squared", "activation"};
constexpr std::string_view file_ending = ".safetensors";

std::string trimmed(std::string_view text) {
    const size_t from = text.find_first_not_of(' ');
    return from == text.npos ? "" : std::string(text.substr(from, text.find_last_not_of(' ') - from + 1));
}

ObjectiveChoice objective(const std::string& written, const std::string& where, bool from_command_line,
                          const std::filesystem::path& folder) {
    if (std::ranges::find(words, written) != words.end()) return {written, {}};
    if (!written.ends_with(file_ending) || written.size() == file_ending.size())
        throw Error(Exit::usage, where,
                    fmt::format("'{}' is no objective{}", text::printable(written, 60),
                                text::did_you_mean(written, words)),
                    "there are svd, squared, activation, and files of factors, FILE.safetensors");
    const std::filesystem::path path(std::u8string(written.begin(), written.end()));
    const bool as_it_is = from_command_line || folder.empty() || path.is_absolute();
    return {"", as_it_is ? path : folder / path};
}

// "svd", "0.5 * squared"
Pipeline::Rounding::Term term(const std::string& written, const std::string& where, bool from_command_line,
                              const std::filesystem::path& folder) {
    const size_t star = written.find('*');
    double weight = 1;
    if (star != written.npos) {
        const std::string number = trimmed(written.substr(0, star));
        const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), weight);
        if (problem != std::errc() || end != number.data() + number.size() || !std::isfinite(weight) ||
            weight <= 0)
            fail(Exit::usage, where, "[rounding] judge: '{}' is no weight; weights are numbers above 0",
                 text::printable(number, 40));
    }
    const std::string name = trimmed(star == written.npos ? written : written.substr(star + 1));
    return {weight, objective(name, where, from_command_line, folder)};
}

}  // namespace

Pipeline::Rounding read_rounding(const SectionValues& values, const std::filesystem::path& folder) {
    const auto from_command_line = [&](std::string_view key) {
        const Entry* const given = values.given(key);
        return given && given->value.from_command_line;
    };
    Pipeline::Rounding result;
    result.objective = objective(values.text("objective"), values.where("objective"),
                                 from_command_line("objective"), folder);
    const std::string judge = values.text("judge");
    if (judge != "auto")
        for (const std::string& part : text::split(judge, '+'))
            result.judge.push_back(
                term(trimmed(part), values.where("judge"), from_command_line("judge"), folder));
    result.squared_error_cap = values.real("squared_error_cap");
    result.seed = values.whole("seed");
    result.top_p = values.real("top_p");
    result.min_rank = values.whole("min_rank");
    result.max_rank = values.whole("max_rank");
    result.max_elements = values.whole("max_elements");
    result.where = values.where("objective");
    result.judge_where = values.where("judge");
    if (result.min_rank > result.max_rank)
        fail(Exit::usage, values.where("min_rank"), "[rounding] min_rank is {}, above max_rank, which is {}",
             result.min_rank, result.max_rank);
    return result;
}

std::string objective_text(const ObjectiveChoice& choice, bool path) {
    if (choice.file.empty()) return choice.name;
    return os::utf8(path ? choice.file : choice.file.filename());
}

std::string judge_text(const Pipeline::Rounding& rounding, bool paths) {
    if (rounding.judge.empty()) return "auto";
    std::vector<std::string> terms;
    for (const auto& [weight, objective] : rounding.judge)
        terms.push_back(weight == 1 ? objective_text(objective, paths)
                                    : fmt::format("{} * {}", weight, objective_text(objective, paths)));
    return text::join(terms, " + ");
}

}  // namespace halftone
