#include "core/report/check_report.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/base/text.hpp"

namespace halftone {
namespace {

// Names and labels come from strangers' files.
std::string harmless(const std::string& text) {
    return text::printable(text, 300);
}

// Layers that a reader need not tell apart.
struct Group {
    const LayerVerdict* first;
    uint64_t layers = 0;
};

// What layers of a group have in common: all that is said of them.
using Kind = std::tuple<std::string_view, std::string_view, bool, std::string_view, std::string_view,
                        std::string_view, std::string_view, std::string_view, std::string>;
Kind kind_of(const LayerVerdict& layer) {
    const Judgment& judgment = layer.judgment;
    return {layer.label,          layer.format,      judgment.taken,
            judgment.reason,      judgment.advice,   judgment.since,
            judgment.activations, judgment.hardware, text::join(judgment.remarks, "\n")};
}

std::vector<Group> grouped(const LoaderCheck& check) {
    std::vector<Group> groups;
    std::map<Kind, size_t> by_kind;
    for (const LayerVerdict& layer : check.layers) {
        const auto [found, is_new] = by_kind.emplace(kind_of(layer), groups.size());
        if (is_new) groups.push_back(Group{&layer});
        ++groups[found->second].layers;
    }
    std::ranges::stable_sort(groups, [](const Group& a, const Group& b) {
        return std::pair(a.first->judgment.taken, b.layers) < std::pair(b.first->judgment.taken, a.layers);
    });
    return groups;
}

std::string line(const std::string& text) {
    return text.empty() ? "" : "  " + harmless(text) + "\n";
}

std::string group_text(const Group& group) {
    const LayerVerdict& one = *group.first;
    const Judgment& judgment = one.judgment;
    std::string text =
        fmt::format("{}: {}", judgment.taken ? "taken" : "refused", text::plural(group.layers, "layer"));
    if (!one.label.empty()) text += fmt::format(" labelled '{}'", harmless(one.label));
    if (!one.format.empty()) text += fmt::format(" ({})", one.format);
    if (judgment.taken && !judgment.since.empty()) text += ", since " + judgment.since;
    text += fmt::format("{} {}\n", group.layers == 1 ? ":" : ", for example", harmless(one.layer));
    text += line(judgment.reason);
    text += line(judgment.advice);
    if (judgment.taken) {
        std::string known;
        if (!judgment.activations.empty()) known = "activations: " + judgment.activations;
        if (!judgment.hardware.empty())
            known += (known.empty() ? "" : "; ") + ("fast on " + judgment.hardware);
        text += line(known);
    }
    for (const std::string& remark : judgment.remarks)
        text += line(remark);
    return text;
}

std::string obstacle_text(const Obstacle& obstacle) {
    std::string text = "refused: " + (obstacle.where.empty() ? "the file" : harmless(obstacle.where)) + "\n";
    return text + line(obstacle.reason) + line(obstacle.advice);
}

std::string verdict_text(const LoaderCheck& check, const Loader& loader) {
    if (check.passed()) return fmt::format("{} would take every tensor\n", loader.name);
    std::vector<std::string> refused;
    if (const uint64_t layers = check.refused_layers())
        refused.push_back(fmt::format("{} of {}", text::grouped(layers),
                                      text::plural(check.layers.size(), "quantized layer")));
    const auto of_file = [](const Obstacle& one) { return one.where.empty(); };
    const auto whole = static_cast<uint64_t>(std::ranges::count_if(check.obstacles, of_file));
    if (whole > 0) refused.push_back("the file as a whole");
    if (const uint64_t others = check.obstacles.size() - whole)
        refused.push_back(text::plural(others, "other tensor"));
    return fmt::format("{} would refuse {}\n", loader.name, text::join(refused, ", "));
}

}  // namespace

std::string check_text(const LoaderCheck& check, const Loader& loader) {
    constexpr size_t most_shown = 8;  // of single tensors
    std::string text;
    for (size_t i = 0; i < std::min(most_shown, check.obstacles.size()); ++i)
        text += obstacle_text(check.obstacles[i]);
    if (check.obstacles.size() > most_shown)
        text += fmt::format("  and {} more; --json lists all\n", check.obstacles.size() - most_shown);
    for (const Group& group : grouped(check))
        text += group_text(group);
    if (check.layers.empty()) text += "no quantized layers\n";
    text += fmt::format("beside them: {}\n", text::plural(check.other_tensors, "tensor"));
    for (const std::string& remark : check.remarks)
        text += "note: " + harmless(remark) + "\n";
    if (!loader.remark.empty() && !check.layers.empty()) text += "note: " + loader.remark + "\n";
    return text + "\n" + verdict_text(check, loader);
}

Json check_json(const LoaderCheck& check, const Loader& loader) {
    Json whole;
    whole["loader"] = loader.id;
    whole["passed"] = check.passed();
    whole["family"] = check.family;
    whole["layers"] = Json::array();
    for (const LayerVerdict& layer : check.layers) {
        const Judgment& judgment = layer.judgment;
        Json one;
        one["name"] = layer.layer;
        one["label"] = layer.label;
        one["format"] = layer.format;
        one["taken"] = judgment.taken;
        if (judgment.taken) {
            one["since"] = judgment.since;
            one["activations"] = judgment.activations;
            one["hardware"] = judgment.hardware;
        } else {
            one["reason"] = judgment.reason;
            one["advice"] = judgment.advice;
        }
        one["remarks"] = judgment.remarks;
        whole["layers"].push_back(std::move(one));
    }
    whole["obstacles"] = Json::array();
    for (const Obstacle& obstacle : check.obstacles)
        whole["obstacles"].push_back(
            {{"where", obstacle.where}, {"reason", obstacle.reason}, {"advice", obstacle.advice}});
    whole["remarks"] = check.remarks;
    Json totals;
    totals["layers"] = check.layers.size();
    totals["refused_layers"] = check.refused_layers();
    totals["other_tensors"] = check.other_tensors;
    whole["totals"] = std::move(totals);
    return whole;
}

}  // namespace halftone
