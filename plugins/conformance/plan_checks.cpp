// What a plan says yes and no to, and that options do something.

#include <algorithm>
#include <set>

#include "core/base/error.hpp"
#include "plugins/call.hpp"
#include "plugins/conformance/trial.hpp"
#include "plugins/labels.hpp"

namespace halftone::conformance {

namespace {

void check_reason(const Refusal& refusal, const std::string& what) {
    if (std::string_view(refusal.what()).ends_with("without a reason"))
        broken("prepare() refuses {} without a reason", what);
}

void refuse_impossible(const Format& format) {
    const OptionValues options =
        OptionValues::resolve(format.library().options(), {}, format.library().name());
    const std::vector<uint64_t> possible[] = {{}, {64}, {4, 16, 16}, {2, 3, 4, 5}, {0, 64}, {64, 0}, {0, 0}};
    for (const std::vector<uint64_t>& shape : possible) {
        MatrixSource source;
        source.dtype = HT_DTYPE_BF16;
        source.shape = shape;
        source.rows = shape.empty() ? 1 : shape[0];
        source.cols = 1;
        for (size_t i = 1; i < shape.size(); ++i)
            source.cols *= shape[i];
        const std::string what = fmt::format("a tensor of shape [{}]", fmt::join(shape, ", "));
        try {
            const auto plan = format.prepare(source, options);
            if (shape.size() != 2 && !(plan->facts().flags & HT_FACT_ANY_RANK))
                broken("prepare() takes {}, but HT_FACT_ANY_RANK is not set", what);
            plan->description();
        } catch (const Refusal& refusal) {
            check_reason(refusal, what);
        }
    }
}

// All that a plan and what it stores show of its options.
std::string signature(const Format& format, const MatrixSource& source, const GivenOptions& given,
                      Values values, Random random) {
    try {
        const Trial trial = make_trial(format, source, given, values, random);
        std::string all = trial.plan->description().dump();
        for (const StoredTensor& stored : trial.plan->stored())
            all += fmt::format(" {} {} [{}]", stored.name, stored.dtype, fmt::join(stored.shape, ", "));
        const auto append = [&](const std::vector<std::byte>& bytes) {
            all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        };
        append(trial.written.weight);
        for (const auto& companion : trial.written.companions)
            append(companion);
        append({trial.written.grid.data(), trial.written.grid.data() + trial.plan->facts().grid_bytes});
        return all;
    } catch (const Refusal& refusal) {
        return std::string("refused");
    }
}

// Whether two values of an option ever differ in what they do.
bool matters(const Format& format, const std::vector<OptionChoice>& choices, const std::string& name,
             uint64_t seed) {
    std::vector<GivenValue> values;
    for (const OptionChoice& choice : choices)
        if (choice.option == name) values.push_back(choice.given.at(name));
    Random random(seed, 1'000'000);
    const std::vector<Shape> all_shapes = shapes(random);
    // Beside the defaults and beside each value of the other options: some options only mean something
    // together.
    const auto differ = [&](const GivenOptions& base, ht_dialect dialect, Shape shape, Values kind) {
        std::set<std::string> seen;
        for (const GivenValue& value : values) {
            GivenOptions given = base;
            given.insert_or_assign(name, value);
            seen.insert(
                signature(format, source_of(shape, HT_DTYPE_BF16, dialect), given, kind, Random(seed, 7)));
        }
        return seen.size() > 1;
    };
    for (const OptionChoice& base : choices) {
        if (base.option == name) continue;
        for (const ht_dialect dialect : all_dialects)
            for (const Shape shape : all_shapes)
                for (const Values kind : {Values::normal, Values::mixed_rows})
                    if (differ(base.given, dialect, shape, kind)) return true;
    }
    return false;
}

}  // namespace

Result check_refusals(const Format& format) {
    Result result{"refusals", "impossible shapes are refused with a reason", Outcome::ok, 1, {}};
    try {
        refuse_impossible(format);
    } catch (const Broken& reason) {
        result.outcome = Outcome::failed;
        result.detail = reason.what();
    }
    return result;
}

Result check_labels(const Format& format) {
    Result result{"labels", "labels say by whom and with which options", Outcome::not_applicable, 0, {}};
    for (const Format::Label& label : format.labels()) {
        ++result.cases;
        if (result.outcome == Outcome::not_applicable) result.outcome = Outcome::ok;
        const std::string fault = fault_of(label, format.library().options());
        if (fault.empty()) continue;
        result.outcome = Outcome::failed;
        result.detail = fmt::format("label '{}': {}", label.label, fault);
        break;
    }
    return result;
}

Result check_full_precision(const Format& format, uint64_t seed) {
    constexpr const char* key = "full_precision_matrix_mult";
    Result result{"precision",
                  "markers ask for full precision when told to, and only then",
                  Outcome::not_applicable,
                  0,
                  {}};
    // A toy that nobody loads may keep silent, but then always.
    const std::vector<Format::Label> labels = format.labels();
    const auto is_loaded = [](const Format::Label& label) {
        return !label.label.empty() && !label.loaders.empty();
    };
    const bool demanded = std::ranges::any_of(labels, is_loaded);
    Random random(seed, 999'998);
    const std::vector<Shape> all_shapes = shapes(random);
    for (const OptionChoice& choice : option_choices(random, format.library().options()))
        for (const Shape shape : all_shapes) {
            MatrixSource source = source_of(shape, HT_DTYPE_BF16, HT_DIALECT_COMFY);
            try {
                const OptionValues options =
                    OptionValues::resolve(format.library().options(), choice.given, format.library().name());
                const Json without = format.prepare(source, options)->description();
                source.wants |= HT_WANTS_FULL_PRECISION_MM;
                const Json with = format.prepare(source, options)->description();
                const bool says = with.value(key, false) && !without.value(key, false);
                if (!says && !demanded && result.cases == 0 && with == without) return result;
                ++result.cases;
                result.outcome = Outcome::ok;
                if (says) break;
                result.outcome = Outcome::failed;
                result.detail = fmt::format("with {}: {}; without: {}", "HT_WANTS_FULL_PRECISION_MM",
                                            with.dump(), without.dump());
                return result;
            } catch (const Refusal&) {
            }
        }
    return result;
}

Result check_options(const Format& format, uint64_t seed, std::vector<std::string>& remarks) {
    Result result{"options", "every option does something", Outcome::not_applicable, 0, {}};
    Random random(seed, 999'999);
    const OptionTable& table = format.library().options();
    const std::vector<OptionChoice> choices = option_choices(random, table);
    for (size_t i = 0; i < table.size(); ++i) {
        const std::string name = table.row(i).name;
        if (std::ranges::count(choices, name, &OptionChoice::option) < 2) {
            remarks.push_back(fmt::format("option '{}' has only its default tried", name));
            continue;
        }
        ++result.cases;
        if (matters(format, choices, name, seed)) {
            if (result.outcome == Outcome::not_applicable) result.outcome = Outcome::ok;
        } else if (result.outcome != Outcome::failed) {
            result.outcome = Outcome::failed;
            result.detail = fmt::format(
                "option '{}' changes nothing: no plan, no refusal and no stored byte differs between its "
                "values",
                name);
        }
    }
    return result;
}

}  // namespace halftone::conformance
