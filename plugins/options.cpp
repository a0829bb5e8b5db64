#include "plugins/options.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "plugins/abi_copy.hpp"
#include "plugins/call.hpp"
#include "plugins/option_text.hpp"

namespace halftone {
namespace {

// Closed: a key that the pipeline gains later must not change what an existing plugin's option means.
constexpr std::array<std::string_view, 29> reserved = {
    "action",       "comment",     "device",    "dtype",
    "embeddings",   "exclude",     "format",    "full_precision_matrix_mult",
    "include",      "input_scale", "keep",      "layers",
    "learn",        "match",       "memory",    "name",
    "on_nonfinite", "on_refusal",  "optimizer", "options",
    "priority",     "reason",      "regex",     "remove",
    "rules",        "seed",        "simple",    "threads",
    "when"};

constexpr uint64_t most_options = 200;

bool is_option_name(std::string_view name) {
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto is_part = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; };
    return !name.empty() && name.size() <= 60 && is_letter(name.front()) &&
           std::ranges::all_of(name, is_part);
}

bool is_line(const char* text) {
    const auto is_control = [](char c) { return c >= 0 && c < ' '; };
    return text && text::is_utf8(text) && std::ranges::none_of(std::string_view(text), is_control);
}

// What is wrong with a row; empty if nothing.
std::string row_problem(const ht_option& row) {
    if (!is_option_name(row.name)) return "its name is not of the form [a-z][a-z0-9_]*";
    if (std::ranges::find(reserved, std::string_view(row.name)) != reserved.end())
        return "its name is reserved for the pipeline";
    if (row.type < HT_BOOL || row.type > HT_LIST) return fmt::format("it has the unknown type {}", row.type);
    if (!is_line(row.help) || !*row.help) return "it has no help of one line";
    if (!is_line(row.fallback)) return "it has no default of one line";
    if (std::isnan(row.least) || std::isnan(row.most) || row.least > row.most)
        return fmt::format("its range from {} to {} is none", row.least, row.most);
    if (row.type == HT_CHOICE) {
        std::vector<std::string> choices = choices_of(row);
        if (choices.empty()) return "it has no choices";
        const size_t n = choices.size();
        for (const auto& [other, choice] : choice_aliases_of(row)) {
            if (std::find(choices.begin(), choices.begin() + static_cast<std::ptrdiff_t>(n), choice) ==
                choices.begin() + static_cast<std::ptrdiff_t>(n))
                return fmt::format("'{}' is another name for '{}', which is not one of its choices", other,
                                   choice);
            choices.push_back(other);
        }
        if (std::string_view(row.choices[n - 1]).find('=') != std::string_view::npos)
            return "other names for choices come after all choices";
        std::ranges::sort(choices);
        if (std::ranges::adjacent_find(choices) != choices.end()) return "a choice is there twice";
        for (const std::string& choice : choices)
            if (choice.empty() || !is_line(choice.c_str())) return "a choice is not a word";
    }
    try {
        default_of(row);
    } catch (const Misfit& reason) {
        return std::string("its default ") + reason.what();
    }
    return {};
}

// A value that a plugin has written, as if a person had.
decltype(GivenValue::value) given_from(const ht_option& row, const ht_value& value) {
    constexpr uint64_t most_items = 10'000;
    if (value.type != row.type) throw Misfit(fmt::format("has type {} now", value.type));
    switch (row.type) {
        case HT_BOOL:
            if (value.whole != 0 && value.whole != 1)
                throw Misfit(fmt::format("must be 0 or 1, not {}", value.whole));
            return value.whole == 1;
        case HT_FLOAT:
            return value.real;
        case HT_TEXT:
        case HT_CHOICE:
            if (!value.text) throw Misfit("has no text");
            return std::string(value.text);
        case HT_LIST: {
            if (value.n_items > most_items || (value.n_items > 0 && !value.items))
                throw Misfit(fmt::format("claims {} items", value.n_items));
            std::vector<std::string> items;
            for (uint64_t i = 0; i < value.n_items; ++i) {
                if (!value.items[i]) throw Misfit(fmt::format("has no item {}", i));
                items.emplace_back(value.items[i]);
            }
            return items;
        }
        default:
            return value.whole;
    }
}

}  // namespace

std::span<const std::string_view> reserved_option_names() {
    return reserved;
}

OptionTable::OptionTable(const ht_option* const* rows, uint64_t n, const std::string& where) {
    if (n > 0 && !rows) fail(Exit::plugin, where, "claims {} options but has no option table", n);
    if (n > most_options)
        fail(Exit::plugin, where, "claims {} options; at most {} are allowed", n, most_options);
    std::set<std::string_view> seen;
    for (uint64_t i = 0; i < n; ++i) {
        if (!rows[i]) fail(Exit::plugin, where, "option {} of its table is missing", i);
        if (rows[i]->size < HALFTONE_SIZE_TO(ht_option, choices))
            fail(Exit::plugin, where, "option {} of its table claims a size of {} bytes; ABI {}.0 has {}", i,
                 rows[i]->size, HALFTONE_ABI_MAJOR, HALFTONE_SIZE_TO(ht_option, choices));
        const ht_option row = copied(rows[i]);
        if (!row.name) fail(Exit::plugin, where, "option {} of its table has no name", i);
        if (const std::string problem = row_problem(row); !problem.empty())
            fail(Exit::plugin, where, "option '{}' cannot be used: {}", text::printable(row.name), problem);
        if (!seen.insert(row.name).second) fail(Exit::plugin, where, "option '{}' is there twice", row.name);
        rows_.push_back(row);
    }
}

std::vector<std::string> OptionTable::names() const {
    std::vector<std::string> names;
    for (const ht_option& row : rows_)
        names.emplace_back(row.name);
    return names;
}

struct OptionValues::State {
    // Texts of the table are copied, so that values may outlive the library.
    struct Named {
        ht_type type;
        std::string name, standard;  // the default, as TOML
    };
    std::vector<Named> rows;
    std::vector<ht_value> values;
    std::vector<ht_value*> at;
    std::deque<std::string> texts;  // keep their place
    std::deque<std::vector<const char*>> lists;

    const char* keep(const std::string& text) { return texts.emplace_back(text).c_str(); }

    void add(const ht_option& row, const OptionValue& value) {
        rows.push_back({row.type, row.name, halftone::as_toml(row, default_of(row))});
        values.push_back(made(row, value));
    }

    ht_value made(const ht_option& row, const OptionValue& value) {
        ht_value abi{};
        abi.size = sizeof abi;
        abi.type = row.type;
        abi.whole = value.whole;
        abi.real = value.real;
        abi.text = keep(value.text);
        if (row.type == HT_LIST) {
            std::vector<const char*>& items = lists.emplace_back();
            for (const std::string& item : value.items)
                items.push_back(keep(item));
            abi.items = items.data();
            abi.n_items = items.size();
        }
        return abi;
    }

    std::string toml(size_t i) const {
        const ht_value& abi = values[i];
        OptionValue value{abi.whole, abi.real, abi.text ? abi.text : "", {}};
        for (uint64_t item = 0; item < abi.n_items; ++item)
            value.items.emplace_back(abi.items[item]);
        ht_option row{};
        row.type = rows[i].type;
        return halftone::as_toml(row, value);
    }
};

OptionValues OptionValues::resolve(const OptionTable& table, const GivenOptions& given,
                                   const std::string& owner) {
    const std::vector<std::string> names = table.names();
    // What is no option may be a misspelt key of the pipeline's own.
    std::vector<std::string> meant = names;
    meant.insert(meant.end(), reserved_option_names().begin(), reserved_option_names().end());
    for (const auto& [name, value] : given)
        if (std::ranges::find(names, name) == names.end())
            throw Error(
                Exit::usage, value.where,
                fmt::format("unknown option '{}' for {}{}", text::printable(name), owner,
                            text::did_you_mean(name, meant)),
                names.empty() ? owner + " has no options" : "its options are: " + text::join(names, ", "));

    OptionValues result;
    result.state_ = std::make_shared<State>();
    for (size_t i = 0; i < table.size(); ++i) {
        const ht_option& row = table.row(i);
        const auto written = given.find(std::string_view(row.name));
        if (written == given.end()) {
            result.state_->add(row, default_of(row));
            continue;
        }
        try {
            result.state_->add(row, fitted(row, written->second));
        } catch (const Misfit& reason) {
            throw Error(Exit::usage, written->second.where,
                        fmt::format("option '{}' of {} {}", row.name, owner, reason.what()));
        }
    }
    for (ht_value& value : result.state_->values)
        result.state_->at.push_back(&value);
    return result;
}

ht_values OptionValues::abi() const {
    return state_ ? state_->at.data() : nullptr;
}

ht_value* const* OptionValues::writable() {
    return state_ ? state_->at.data() : nullptr;
}

void OptionValues::adopt_written(const OptionTable& table, const std::string& culprit) {
    for (size_t i = 0; i < table.size(); ++i) {
        const ht_option& row = table.row(i);
        ht_value& value = state_->values[i];
        GivenValue given;
        try {
            given.value = given_from(row, value);
        } catch (const Misfit& reason) {
            fail(Exit::plugin, culprit, "recognize() set option '{}', which {}", row.name, reason.what());
        }
        try {
            const OptionValue found = fitted(row, given);
            if (row.type == HT_CHOICE && found.whole != value.whole)
                fail(Exit::plugin, culprit, "recognize() set option '{}' to choice {}, but calls it '{}'",
                     row.name, value.whole, found.text);
            value = state_->made(row, found);
        } catch (const Misfit& reason) {  // what the file asks for, more likely than a fault of the plugin
            throw Refusal(fmt::format("option '{}' {}", row.name, reason.what()));
        }
    }
}

std::vector<std::pair<std::string, std::string>> OptionValues::as_toml() const {
    std::vector<std::pair<std::string, std::string>> all;
    for (size_t i = 0; state_ && i < state_->rows.size(); ++i)
        all.emplace_back(state_->rows[i].name, state_->toml(i));
    return all;
}

std::string OptionValues::summary() const {
    std::vector<std::string> parts;
    for (size_t i = 0; state_ && i < state_->rows.size(); ++i) {
        const State::Named& row = state_->rows[i];
        const std::string value = state_->toml(i);
        if (value != row.standard)
            parts.push_back(row.name + "=" + (row.type == HT_CHOICE ? state_->values[i].text : value));
    }
    return text::join(parts, " ");
}

}  // namespace halftone
