#include "plugins/format.hpp"

#include <algorithm>
#include <utility>

#include "core/base/error.hpp"
#include "plugins/abi_copy.hpp"
#include "plugins/call.hpp"
#include "plugins/format_facts.hpp"

namespace halftone {
namespace {

// A table as the host will use it: functions beyond its size are null, required ones are there.
ht_format checked_table(const PluginLibrary& library) {
    const std::string& culprit = library.culprit();
    if (library.descriptor().kind != HT_KIND_FORMAT) fail(Exit::plugin, culprit, "is no format");
    const ht_format table = copied(static_cast<const ht_format*>(library.descriptor().table));
    const std::pair<const char*, bool> required[] = {
        {"prepare", table.prepare},     {"release", table.release},     {"facts", table.facts},
        {"describe", table.describe},   {"recognize", table.recognize}, {"begin", table.begin},
        {"load", table.load},           {"encode", table.encode},       {"decode", table.decode},
        {"companion", table.companion}, {"snap", table.snap},           {"sigma", table.sigma},
        {"around", table.around},       {"table", table.table},
    };
    for (const auto& [name, there] : required)
        if (!there)
            fail(Exit::plugin, culprit, "its function table (of {} bytes; ABI {}.0 has {}) has no {}()",
                 table.size, HALFTONE_ABI_MAJOR, HALFTONE_SIZE_TO(ht_format, n_labels), name);
    if (table.n_labels > 0 && !table.labels)
        fail(Exit::plugin, culprit, "claims {} labels but has no table of them", table.n_labels);
    return table;
}

ht_source abi_source(const MatrixSource& from) {
    ht_source to{};
    to.size = sizeof to;
    to.dtype = from.dtype;
    to.dialect = from.dialect;
    to.wants = from.wants;
    to.rank = static_cast<uint32_t>(from.shape.size());
    std::ranges::copy(from.shape, to.shape);
    to.experts = from.experts;
    to.rows = from.rows;
    to.cols = from.cols;
    return to;
}

}  // namespace

Format::Format(std::shared_ptr<PluginLibrary> library, Watch watch)
    : library_(std::move(library)), table_(checked_table(*library_)), watch_(watch) {}

std::shared_ptr<const FormatPlan> Format::prepare(const MatrixSource& source,
                                                  const OptionValues& options) const {
    if (source.shape.size() > HT_MAX_RANK)
        throw Refusal(fmt::format("has {} dimensions; at most {} can be told to a format",
                                  source.shape.size(), int{HT_MAX_RANK}));
    if (source.experts == 0) fail(Exit::failed, library_->culprit(), "was asked for a plan of no experts");
    const std::string& culprit = library_->culprit();
    const ht_source asked = abi_source(source);
    void* made = nullptr;
    call_checked(culprit, "prepare()", table_.prepare, &asked, options.abi(), &made);
    if (!made)
        throw Error(Exit::plugin, culprit, "prepare() returned HT_OK and no plan",
                    "the plugin is at fault: tell its authors");

    // From here on the plan's destructor gives it back, whatever is found.
    std::shared_ptr<FormatPlan> plan(new FormatPlan);
    plan->library_ = library_;
    plan->table_ = table_;
    plan->plan_ = made;
    plan->plugin_ = library_->name();
    plan->source_ = source;
    plan->watch_ = watch_;
    const ht_facts* const facts = call(culprit, "facts()", table_.facts, static_cast<const void*>(made));
    CheckedFacts checked = check_facts(facts, table_, source, culprit);
    plan->facts_ = checked.facts;
    if (checked.facts.remark) plan->remark_ = shown(checked.facts.remark);
    plan->stored_ = std::move(checked.stored);
    plan->weight_ = checked.weight;
    return plan;
}

std::vector<Format::Label> Format::labels() const {
    const auto shown_or_empty = [](const char* text) { return text ? shown(text) : std::string(); };
    std::vector<Label> all;
    for (uint64_t i = 0; i < table_.n_labels; ++i) {
        if (!table_.labels[i]) fail(Exit::plugin, library_->culprit(), "label {} of its table is missing", i);
        if (table_.labels[i]->size < HALFTONE_SIZE_TO(ht_label, remark))
            fail(Exit::plugin, library_->culprit(),
                 "label {} of its table claims a size of {} bytes; that of ABI {}.0 has {}", i,
                 table_.labels[i]->size, HALFTONE_ABI_MAJOR, HALFTONE_SIZE_TO(ht_label, remark));
        const ht_label label = copied(table_.labels[i]);
        all.push_back({shown_or_empty(label.label), shown_or_empty(label.options),
                       shown_or_empty(label.loaders), shown_or_empty(label.activations),
                       shown_or_empty(label.hardware), shown_or_empty(label.remark)});
    }
    return all;
}

}  // namespace halftone
