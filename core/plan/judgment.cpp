#include "core/plan/judgment.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/text.hpp"
#include "core/tensor/dtype.hpp"
#include "plugins/layouts.hpp"

namespace halftone {
namespace {

using Options = std::vector<std::pair<std::string, std::string>>;  // names and values as TOML

const std::string* value_of(const Options& options, const std::string& name) {
    const auto found = std::ranges::find(options, name, &Options::value_type::first);
    return found == options.end() ? nullptr : &found->second;
}

bool same_value(const std::string& toml, const std::string& plain) {
    return toml == plain || toml == text::toml_quoted(plain);
}

bool holds(const LabelCondition& condition, const StoredAs& stored, const Options& options) {
    if (condition.key == "layout") return condition.value == layout_name(stored.plan.source().dialect);
    if (condition.key == experts_condition)
        return condition.value == stack_of_experts && stored.plan.source().experts > 1;
    const std::string* value = value_of(options, condition.key);
    return value && same_value(*value, condition.value);
}

bool all_hold(const std::vector<LabelCondition>& conditions, const StoredAs& stored, const Options& options) {
    return std::ranges::all_of(conditions,
                               [&](const LabelCondition& one) { return holds(one, stored, options); });
}

// A label of a format that says nothing of layouts is for the one that has labels; plain tensors have none
// anywhere.
bool for_layout(const Format::Label& label, const std::vector<LabelCondition>& conditions,
                ht_dialect dialect) {
    const bool says = std::ranges::find(conditions, "layout", &LabelCondition::key) != conditions.end();
    return says || label.label.empty() || dialect == HT_DIALECT_COMFY;
}

std::vector<LabelCondition> conditions_of(const Format::Label& label) {
    return read_label_conditions(label.options).value_or(std::vector<LabelCondition>());
}

const LabelTaker* taker(const std::vector<LabelTaker>& takers, const Loader& loader) {
    const auto found = std::ranges::find(takers, loader.id, &LabelTaker::loader);
    return found == takers.end() ? nullptr : &*found;
}

std::vector<LabelTaker> takers(const Format::Label& label) {
    return read_label_takers(label.loaders).value_or(std::vector<LabelTaker>());
}

// "comfyui since 2025-12, comfyui-fork"
std::string listed(const std::vector<LabelTaker>& takers) {
    std::vector<std::string> parts;
    for (const LabelTaker& one : takers)
        parts.push_back(one.loader + (one.since.empty() ? "" : " since " + one.since));
    return text::join(parts, ", ");
}

// The row of the format's labels that the layer falls under: of several the one that demands most.
std::optional<Format::Label> row_of(const StoredAs& stored, const Options& options) {
    std::optional<Format::Label> best;
    size_t most = 0;
    for (const Format::Label& label : stored.format.labels()) {
        const std::vector<LabelCondition> conditions = conditions_of(label);
        if (label.label != stored.label || !all_hold(conditions, stored, options) ||
            !for_layout(label, conditions, stored.plan.source().dialect))
            continue;
        if (best && conditions.size() <= most) continue;
        best = label;
        most = conditions.size();
    }
    return best;
}

std::string as_setting(const LabelCondition& condition) {
    if (condition.key == "layout") return fmt::format("[output] layout = \"{}\"", condition.value);
    const bool bare = condition.value == "true" || condition.value == "false" ||
                      condition.value.find_first_not_of("0123456789.") == std::string::npos;
    return fmt::format("{} = {}", condition.key, bare ? condition.value : text::toml_quoted(condition.value));
}

// What to change so that the loader takes what the same format makes: the fewest settings, every such choice.
std::string alternatives(const Loader& loader, const StoredAs& stored, const Options& options) {
    std::vector<std::string> choices;
    size_t fewest = SIZE_MAX;
    for (const Format::Label& label : stored.format.labels()) {
        const std::vector<LabelTaker> all = takers(label);
        if (!taker(all, loader)) continue;
        std::vector<std::string> settings;
        bool layout = false;
        const std::vector<LabelCondition> conditions = conditions_of(label);
        const auto needs_stack = std::ranges::find(conditions, experts_condition, &LabelCondition::key);
        if (needs_stack != conditions.end() && !holds(*needs_stack, stored, options)) continue;
        for (const LabelCondition& condition : conditions) {
            layout = layout || condition.key == "layout";
            if (!holds(condition, stored, options)) settings.push_back(as_setting(condition));
        }
        if (!layout && stored.plan.source().dialect != HT_DIALECT_COMFY)
            settings.push_back(as_setting({"layout", std::string(layout_name(HT_DIALECT_COMFY))}));
        if (settings.empty() || settings.size() > fewest) continue;
        if (settings.size() < fewest) choices.clear();
        fewest = settings.size();
        const std::string choice = text::join(settings, " and ");
        if (std::ranges::find(choices, choice) == choices.end()) choices.push_back(choice);
    }
    return choices.empty() ? "" : "use " + text::join(choices, ", or ");
}

std::string what_it_says(const Loader& loader, const std::string& label) {
    std::string said = loader.unknown_label;
    if (const size_t at = said.find("{}"); at != std::string::npos)
        said.replace(at, 2, text::printable(label));
    return said.empty() ? "" : fmt::format(" (\"{}\")", said);
}

// Whether the loader knows the label at all, if not with these options.
bool knows_otherwise(const Loader& loader, const StoredAs& stored) {
    return std::ranges::any_of(stored.format.labels(), [&](const Format::Label& label) {
        return !label.label.empty() && label.label == stored.label && taker(takers(label), loader);
    });
}

std::string why_not_taken(const Loader& loader, const StoredAs& stored, const Format::Label& row) {
    const std::string remark = row.remark.empty() ? "" : ": " + row.remark;
    if (stored.label.empty())
        return fmt::format("{} does not take this layout of the format{}", loader.name, remark);
    if (knows_otherwise(loader, stored))
        return fmt::format("{} takes the label '{}' for something else{}", loader.name, stored.label, remark);
    const std::string others =
        row.loaders.empty() ? "; no loader is known to take it" : "; it is loaded by " + listed(takers(row));
    return fmt::format("{} does not know the label '{}'{}{}", loader.name, stored.label,
                       what_it_says(loader, stored.label), others);
}

// By a rule, whatever the format says.
std::string why_ruled_out(const Loader& loader, const std::string& label, const std::string& remark) {
    const std::string what =
        label.empty() ? "this layout of the format" : fmt::format("the label '{}'", text::printable(label));
    return fmt::format("{} does not work with {}{}{}", loader.name, what, remark.empty() ? "" : ": ", remark);
}

// What is stored could have a label, but the file gives it none.
bool lacks_label(const StoredAs& stored) {
    return stored.label.empty() && stored.plan.source().dialect == HT_DIALECT_COMFY &&
           !stored.plan.description().empty();
}

void refuse_unlabelled(const Loader& loader, const StoredAs& stored, Judgment& judgment) {
    const bool marked = !stored.configuration.is_discarded();
    const std::string layout(layout_name(HT_DIALECT_COMFY));
    judgment.refuse(
        fmt::format("{}, and so {} does not take it for quantized",
                    marked ? "its marker names no format" : "it has no marker, nor an entry in the header",
                    loader.name),
        loader.reads_layout(layout) ? "halftone run with this file as its input writes one that does" : "");
}

void judge_layout(const Loader& loader, const StoredAs& stored, Judgment& judgment) {
    const std::string_view layout = layout_name(stored.plan.source().dialect);
    if (loader.reads_layout(layout)) return;
    const LabelCondition other{"layout", loader.layouts.front()};
    judgment.refuse(
        fmt::format("it is in the layout \"{}\", and {} reads {}", layout, loader.name,
                    text::join(loader.layouts, " and ")),
        judgment.advice.empty() ? "use " + as_setting(other) + ", with a format that it loads" : "");
}

void judge_keys(const Loader& loader, const LabelRule& rule, const StoredAs& stored, const Options& options,
                Judgment& judgment) {
    for (const MarkerKey& key : rule.keys) {
        const std::string found = marker_value(stored.configuration, key.key);
        const std::string read = found.empty() ? key.fallback : found;
        const std::string* kept = key.option.empty() ? nullptr : value_of(options, key.option);
        const std::string last = key.key.substr(key.key.rfind('.') + 1);
        const bool elsewhere =
            found.empty() && last != key.key && !marker_value(stored.configuration, last).empty();
        if (kept && !same_value(*kept, read))
            return judgment.refuse(
                fmt::format("{} reads '{}' of the marker, which says {}{}, but what is stored has {} = {}",
                            loader.name, key.key, found.empty() ? "nothing, so that it takes " : "", read,
                            key.option, *kept),
                elsewhere ? fmt::format("the marker has '{}' at its root only, where {} does not look", last,
                                        loader.name)
                          : "");
        if (!key.only.empty() && std::ranges::find(key.only, read) == key.only.end())
            return judgment.refuse(
                fmt::format("{} works with {} {} only, and this layer has {}", loader.name, last,
                            text::join(key.only, " or "), read),
                key.option.empty() ? "" : "use " + as_setting({key.option, key.only.front()}));
    }
}

}  // namespace

void Judgment::refuse(std::string why, std::string instead) {
    taken = false;
    remarks.clear();
    reason = std::move(why);
    if (!instead.empty()) advice = std::move(instead);
}

std::string unknown_dtype(const Loader& loader, ht_dtype dtype) {
    return fmt::format("the reader of {} does not know the type {}", loader.name, dtype::name(dtype));
}

std::string shape_fault(const Loader& loader, const Family& family, bool columns) {
    return fmt::format(
        "{} counts this weight's {} to find out which model of {} it builds, and they are stored {}",
        loader.name, columns ? "columns" : "rows", family.name, columns ? "packed" : "padded");
}

std::string companion_fault(const Loader& loader, const Family& family) {
    return fmt::format("{} mistakes what stands beside this weight of {} for a weight, and stops{}",
                       loader.name, family.name,
                       family.companions_say.empty() ? "" : ": " + family.companions_say);
}

std::string marker_value(const Json& configuration, const std::string& key) {
    const Json* at = &configuration;
    for (const std::string& part : text::split(key, '.')) {
        if (!at->is_object()) return "";
        const auto found = at->find(part);
        if (found == at->end()) return "";
        at = &*found;
    }
    return at->is_string() ? at->get<std::string>() : at->dump(-1, ' ', true, Json::error_handler_t::replace);
}

bool takes_label(const Loader& loader, const StoredAs& stored) {
    const std::optional<Format::Label> row = row_of(stored, stored.options.as_toml());
    return row && taker(takers(*row), loader);
}

std::string takers_of(const StoredAs& stored) {
    const std::optional<Format::Label> row = row_of(stored, stored.options.as_toml());
    return row ? listed(takers(*row)) : "";
}

Judgment judge(const Loaders& loaders, const Loader& loader, const StoredAs& stored) {
    const Options options = stored.options.as_toml();
    const std::optional<Format::Label> row = row_of(stored, options);
    Judgment judgment;
    Format::Label known = row.value_or(Format::Label());
    if (row) {
        const std::vector<LabelTaker> all = takers(*row);
        if (const LabelTaker* one = taker(all, loader)) {
            judgment.taken = true;
            judgment.since = one->since;
        }
    }
    const LabelRule *keys = nullptr, *decided_by = nullptr;
    for (const LabelRule& rule : loaders.rules()) {
        if (rule.loader != loader.id || rule.label != stored.label ||
            !all_hold(rule.options, stored, options))
            continue;
        if (rule.takes) {
            // The format remarked on a loader that did otherwise.
            if (*rule.takes != judgment.taken) known.remark.clear();
            judgment.taken = *rule.takes;
            decided_by = &rule;
        }
        if (rule.since) judgment.since = *rule.since;
        if (rule.activations) known.activations = *rule.activations;
        if (rule.hardware) known.hardware = *rule.hardware;
        if (rule.remark) known.remark = *rule.remark;
        if (!rule.keys.empty()) keys = &rule;
    }
    judgment.activations = known.activations;
    judgment.hardware = known.hardware;
    judgment.ruled = decided_by != nullptr;
    if (!judgment.taken) {
        const std::string described = stored.plan.description().value("format", "");
        judgment.advice = alternatives(loader, stored, options);
        if (decided_by)
            judgment.refuse(why_ruled_out(loader, stored.label, decided_by->remark.value_or("")));
        else if (!row && lacks_label(stored))
            refuse_unlabelled(loader, stored, judgment);
        else if (!row && !stored.label.empty() && described != stored.label && !described.empty())
            judgment.refuse(
                fmt::format("its label is '{}', but what is stored is '{}'", stored.label, described));
        else
            judgment.refuse(why_not_taken(loader, stored, known));
        judge_layout(loader, stored, judgment);
        return judgment;
    }
    if (!known.remark.empty()) judgment.remarks.push_back(known.remark);
    judge_layout(loader, stored, judgment);
    for (const StoredTensor& tensor : stored.plan.stored())
        if (judgment.taken && !loader.knows_dtype(dtype::name(tensor.dtype)))
            judgment.refuse(unknown_dtype(loader, tensor.dtype));
    if (stored.plan.description().empty()) return judgment;  // a plain tensor, that nobody need take apart
    if (judgment.taken && stored.plan.source().experts > 1 && !loader.experts)
        judgment.refuse(fmt::format("{} takes no stacks of experts", loader.name));
    if (judgment.taken && keys) judge_keys(loader, *keys, stored, options, judgment);
    if (judgment.taken && stored.embedding && !loader.embeddings.empty() &&
        std::ranges::find(loader.embeddings, stored.label) == loader.embeddings.end())
        judgment.refuse(fmt::format("{} takes embedding tables as {} only, and this one for plain numbers",
                                    loader.name, text::join(loader.embeddings, ", ")),
                        "keep embeddings, or store them as one of these");
    return judgment;
}

Judgment judge_label(const Loaders& loaders, const Loader& loader, const std::string& label,
                     const std::string& why_unread) {
    Judgment judgment;
    const LabelRule* decided_by = nullptr;
    std::string remark;
    for (const LabelRule& rule : loaders.rules()) {
        if (rule.loader != loader.id || rule.label != label || !rule.options.empty()) continue;
        if (rule.takes) decided_by = &rule;
        if (rule.since) judgment.since = *rule.since;
        if (rule.activations) judgment.activations = *rule.activations;
        if (rule.hardware) judgment.hardware = *rule.hardware;
        if (rule.remark) remark = *rule.remark;
    }
    judgment.taken = decided_by && *decided_by->takes;
    judgment.ruled = decided_by != nullptr;
    if (judgment.taken) {
        judgment.remarks.push_back("judged by its label alone: no format here can read it");
        if (!remark.empty()) judgment.remarks.push_back(remark);
    } else if (decided_by) {
        judgment.reason = why_ruled_out(loader, label, remark);
    } else if (!why_unread.empty()) {
        judgment.reason = why_unread;
    } else {
        judgment.reason = fmt::format("{} does not know the label '{}'{}, and no format here does",
                                      loader.name, text::printable(label), what_it_says(loader, label));
    }
    return judgment;
}

}  // namespace halftone
