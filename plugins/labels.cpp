#include "plugins/labels.hpp"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

#include "core/base/text.hpp"
#include "plugins/layouts.hpp"
#include "plugins/option_text.hpp"

namespace halftone {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_small_letter(char c) {
    return c >= 'a' && c <= 'z';
}

bool is_month(std::string_view text) {
    if (text.size() != 7 || text[4] != '-') return false;
    for (const size_t i : {0, 1, 2, 3, 5, 6})
        if (!is_digit(text[i])) return false;
    const int month = (text[5] - '0') * 10 + text[6] - '0';
    return month >= 1 && month <= 12;
}

bool is_version(std::string_view text) {
    const std::vector<std::string> parts = text::split(text, '.');
    return !parts.empty() && std::ranges::all_of(parts, [](const std::string& part) {
        return !part.empty() && std::ranges::all_of(part, is_digit);
    });
}

std::string fault_of(const LabelCondition& condition, const OptionTable& table) {
    if (condition.key == "layout") {
        if (dialect_of_layout(condition.value)) return "";
        return fmt::format("there is no layout '{}'", text::printable(condition.value));
    }
    if (condition.key == experts_condition) {
        if (condition.value == stack_of_experts) return "";
        return fmt::format("of experts there is '{}' alone, not '{}'", stack_of_experts,
                           text::printable(condition.value));
    }
    const std::vector<std::string> names = table.names();
    const auto found = std::ranges::find(names, condition.key);
    if (found == names.end())
        return fmt::format("'{}' is neither an option nor the layout", text::printable(condition.key));
    const ht_option& option = table.row(static_cast<size_t>(found - names.begin()));
    try {
        ht_option with_default = option;
        with_default.fallback = condition.value.c_str();
        default_of(with_default);
    } catch (const Misfit& why) {
        return fmt::format("option '{}' {}", option.name, why.what());
    }
    return "";
}

}  // namespace

bool is_loader_name(std::string_view name) {
    return !name.empty() && is_small_letter(name.front()) && std::ranges::all_of(name, [](char c) {
        return is_small_letter(c) || is_digit(c) || c == '-' || c == '.';
    });
}

bool is_since(std::string_view text) {
    return is_month(text) || is_version(text);
}

bool is_one_line(std::string_view text) {
    return text.find('\n') == std::string_view::npos;
}

std::optional<std::vector<LabelTaker>> read_label_takers(std::string_view loaders) {
    std::vector<LabelTaker> takers;
    for (bool first = true; const std::string& part : text::split(loaders, ';')) {
        std::string_view rest = part;
        if (!first) {
            if (!rest.starts_with(' ')) return {};
            rest.remove_prefix(1);
        }
        first = false;
        const size_t end = rest.find(">=");
        LabelTaker taker{std::string(rest.substr(0, end)), ""};
        if (end != std::string_view::npos) {
            taker.since = rest.substr(end + 2);
            if (!is_since(taker.since)) return {};
        }
        if (!is_loader_name(taker.loader)) return {};
        const auto same = [&](const LabelTaker& other) { return other.loader == taker.loader; };
        if (std::ranges::any_of(takers, same)) return {};
        takers.push_back(std::move(taker));
    }
    return takers;
}

std::optional<std::vector<LabelCondition>> read_label_conditions(std::string_view options) {
    std::vector<LabelCondition> conditions;
    for (const std::string& part : text::split(options, ' ')) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos || equals == 0 || equals + 1 == part.size()) return {};
        conditions.push_back({part.substr(0, equals), part.substr(equals + 1)});
    }
    return conditions;
}

std::string fault_of(const Format::Label& label, const OptionTable& table) {
    if (!read_label_takers(label.loaders))
        return fmt::format("loaders '{}' are not written as 'one>=2025-12; other>=0.31.0; third'",
                           text::printable(label.loaders));
    const auto conditions = read_label_conditions(label.options);
    if (!conditions)
        return fmt::format("options '{}' are not written as 'name=value other=value'",
                           text::printable(label.options));
    for (const LabelCondition& condition : *conditions)
        if (const std::string fault = fault_of(condition, table); !fault.empty())
            return fmt::format("options '{}': {}", text::printable(label.options), fault);
    for (const std::string* line :
         {&label.label, &label.loaders, &label.activations, &label.hardware, &label.remark})
        if (!is_one_line(*line)) return "a text has more than one line";
    return "";
}

}  // namespace halftone
