#include "core/report/compare_report.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/report/table.hpp"

namespace halftone {
namespace {

// The figures that a bound may be put on.
struct Figure {
    std::string_view name;
    bool more_is_better;
    std::optional<double> (*of)(const Measures&);
};
constexpr std::array<Figure, 9> figures = {{
    {"relmse", false, [](const Measures& m) { return std::optional(m.relative_squared_error); }},
    {"sqnr", true, [](const Measures& m) { return std::optional(m.sqnr); }},
    {"psnr", true, [](const Measures& m) { return std::optional(m.psnr); }},
    {"cosine", true, [](const Measures& m) { return std::optional(m.cosine); }},
    {"max_error", false, [](const Measures& m) { return std::optional(m.largest_error); }},
    {"saturated", false, [](const Measures& m) { return m.saturated; }},
    {"projected", false, [](const Measures& m) { return m.projected; }},
    {"output", false, [](const Measures& m) { return m.output; }},
    {"run_time", false, [](const Measures& m) { return m.run_time; }},
}};

const Figure* find_figure(std::string_view name) {
    const auto found = std::ranges::find(figures, name, &Figure::name);
    return found == figures.end() ? nullptr : &*found;
}

std::string shown(std::optional<double> value, const char* format) {
    return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

std::string percent(std::optional<double> share) {
    return share ? fmt::format("{:.3g} %", *share * 100) : "-";
}

std::vector<std::string> cells(const std::string& name, const std::string& as, const Measures& m,
                               const std::string& where) {
    return {name,
            as,
            fmt::format("{:.3g}", m.relative_squared_error),
            fmt::format("{:.2f}", m.sqnr),
            fmt::format("{:.2f}", m.psnr),
            fmt::format("{:.6f}", m.cosine),
            fmt::format("{:.3g}", m.largest_error),
            where,
            percent(m.saturated),
            shown(m.entropy, "{:.2f}"),
            shown(m.projected, "{:.3g}"),
            shown(m.output, "{:.3g}"),
            shown(m.run_time, "{:.3g}")};
}

void list(std::string& text, const std::string& title, const std::vector<std::string>& names) {
    constexpr size_t most = 20;
    if (names.empty()) return;
    text += fmt::format("\n{} ({}):\n", title, names.size());
    for (size_t i = 0; i < std::min(most, names.size()); ++i)
        text += "  " + text::printable(names[i], std::string::npos) + "\n";
    if (names.size() > most) text += fmt::format("  and {} more\n", names.size() - most);
}

void remove_column(TextTable& table, size_t index) {
    const auto at = static_cast<std::ptrdiff_t>(index);
    table.columns.erase(table.columns.begin() + at);
    for (std::vector<std::string>& row : table.rows)
        row.erase(row.begin() + at);
}

void leave_out_empty_columns(TextTable& table) {
    for (size_t i = table.columns.size(); i-- > 0;)
        if (std::ranges::all_of(table.rows, [i](const auto& row) { return row[i] == "-" || row[i].empty(); }))
            remove_column(table, i);
}

// Leaves out what says least until the names have room. Returns whether everything stayed.
bool fit_columns(TextTable& table, int width) {
    const size_t wanted = 30;  // of a name, cut in its middle
    const auto narrowest = [&] {
        size_t total = 0;
        for (size_t i = 0; i < table.columns.size(); ++i) {
            size_t cell = table.columns[i].title.size();
            for (const std::vector<std::string>& row : table.rows)
                cell = std::max(cell, row[i].size());
            total += 2 + (i == 0 ? std::min(cell, wanted) : cell);
        }
        return total - 2;
    };
    bool all = true;
    for (const char* title : {"PSNR dB", "cosine", "saturated", "at", "max error"}) {
        if (width <= 0 || narrowest() <= static_cast<size_t>(width)) break;
        const auto found = std::ranges::find(table.columns, title, &TextTable::Column::title);
        if (found == table.columns.end()) continue;
        remove_column(table, static_cast<size_t>(found - table.columns.begin()));
        all = false;
    }
    return all;
}

// JSON has no infinities.
Json number(std::optional<double> value) {
    return value && std::isfinite(*value) ? Json(*value) : Json();
}

Json json_of(const Measures& m) {
    Json json;
    json["elements"] = m.elements;
    json["relmse"] = number(m.relative_squared_error);
    json["sqnr"] = number(m.sqnr);
    json["psnr"] = number(m.psnr);
    json["cosine"] = number(m.cosine);
    json["max_error"] = number(m.largest_error);
    json["saturated"] = number(m.saturated);
    json["entropy"] = number(m.entropy);
    json["projected"] = number(m.projected);
    json["output"] = number(m.output);
    json["run_time"] = number(m.run_time);
    json["nonfinite"] = m.nonfinite;
    return json;
}

}  // namespace

std::string compare_table(const Comparison& comparison, const CompareTableSettings& settings) {
    TextTable table;
    table.columns = {{"tensor"},          {"as"},           {"relMSE", true},    {"SQNR dB", true},
                     {"PSNR dB", true},   {"cosine", true}, {"max error", true}, {"at", true},
                     {"saturated", true}, {"bits", true},   {"projected", true}, {"output", true},
                     {"run time", true}};
    const size_t rows = std::min(settings.rows.value_or(SIZE_MAX), comparison.tensors.size());
    for (size_t i = 0; i < rows; ++i) {
        const TensorComparison& tensor = comparison.tensors[i];
        table.rows.push_back(cells(text::printable(tensor.name), tensor.to, tensor.measures,
                                   tensor.measures.largest_error > 0
                                       ? fmt::format("{},{}", tensor.measures.row, tensor.measures.col)
                                       : "-"));
    }
    std::string text;
    if (!comparison.tensors.empty()) {
        table.rows.push_back(cells("all, weighted by size", "", comparison.total, ""));
        leave_out_empty_columns(table);
        const bool all = fit_columns(table, settings.width);
        text = table.text(settings.width) + (all ? "\n" : "(more columns in a wider terminal)\n\n");
    }
    text += text::plural(comparison.tensors.size(), "tensor") + " compared";
    if (rows < comparison.tensors.size()) text += fmt::format(", the worst {} shown", rows);
    text += fmt::format("; {} identical\n", text::grouped(comparison.identical));
    if (comparison.total.nonfinite > 0)
        text += text::plural(comparison.total.nonfinite, "value") + " on one side NaN or infinite\n";
    list(text, "only in the reference", comparison.only_in_reference);
    list(text, "only in the other", comparison.only_in_other);
    list(text, "not comparable", comparison.incomparable);
    return text;
}

Json compare_json(const Comparison& comparison) {
    Json whole;
    whole["tensors"] = Json::array();
    for (const TensorComparison& tensor : comparison.tensors) {
        Json one;
        one["name"] = tensor.name;
        one["shape"] = tensor.shape;
        one["from"] = tensor.from;
        one["to"] = tensor.to;
        const Json measures = json_of(tensor.measures);
        for (const auto& [key, value] : measures.items())
            one[key] = value;
        one["max_error_at"] = {tensor.measures.row, tensor.measures.col};
        whole["tensors"].push_back(std::move(one));
    }
    whole["total"] = json_of(comparison.total);
    whole["identical"] = comparison.identical;
    whole["only_in_reference"] = comparison.only_in_reference;
    whole["only_in_other"] = comparison.only_in_other;
    whole["not_comparable"] = comparison.incomparable;
    return whole;
}

std::vector<QualityBound> parse_bounds(const std::string& given) {
    std::vector<std::string> names;
    for (const Figure& figure : figures)
        names.emplace_back(figure.name);
    std::vector<QualityBound> bounds;
    for (const std::string& part : text::split(given, ',')) {
        const size_t equals = part.find('=');
        const std::string name = part.substr(0, equals);
        if (!find_figure(name))
            throw Error(Exit::usage, "--fail-above",
                        fmt::format("there is no figure '{}'{}", text::printable(name),
                                    text::did_you_mean(name, names)),
                        "figures: " + text::join(names, ", ") + "; for example --fail-above relmse=1e-3");
        const std::string number = equals == std::string::npos ? "" : part.substr(equals + 1);
        QualityBound bound{name, 0};
        const auto [end, problem] =
            std::from_chars(number.data(), number.data() + number.size(), bound.bound);
        if (problem != std::errc() || end != number.data() + number.size() || std::isnan(bound.bound))
            throw Error(Exit::usage, "--fail-above",
                        fmt::format("'{}' is not {}=NUMBER", text::printable(part), name));
        bounds.push_back(std::move(bound));
    }
    return bounds;
}

bool needs_projection(const std::vector<QualityBound>& bounds) {
    return std::ranges::any_of(bounds, [](const auto& bound) { return bound.figure == "projected"; });
}

bool needs_statistics(const std::vector<QualityBound>& bounds) {
    return std::ranges::any_of(
        bounds, [](const auto& bound) { return bound.figure == "output" || bound.figure == "run_time"; });
}

std::vector<std::string> broken_bounds(const Comparison& comparison,
                                       const std::vector<QualityBound>& bounds) {
    std::vector<std::string> broken;
    for (const QualityBound& bound : bounds) {
        const Figure& figure = *find_figure(bound.figure);
        const double sign = figure.more_is_better ? -1 : 1;
        const TensorComparison* worst = nullptr;
        double worst_value = 0;
        uint64_t count = 0;
        for (const TensorComparison& tensor : comparison.tensors) {
            const std::optional<double> value = figure.of(tensor.measures);
            if (!value || *value * sign <= bound.bound * sign) continue;
            ++count;
            if (worst && *value * sign <= worst_value * sign) continue;
            worst = &tensor;
            worst_value = *value;
        }
        if (worst)
            broken.push_back(fmt::format("{} of {}: {} {} {:.6g}, the worst {} with {:.6g}", count,
                                         text::plural(comparison.tensors.size(), "tensor"), bound.figure,
                                         figure.more_is_better ? "below" : "above", bound.bound,
                                         text::printable(worst->name), worst_value));
    }
    return broken;
}

}  // namespace halftone
