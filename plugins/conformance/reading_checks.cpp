// Reading back: what was written is recognized and gives the same values; what makes no sense is refused.

#include <algorithm>
#include <functional>
#include <numeric>

#include "plugins/call.hpp"
#include "plugins/conformance/trial.hpp"

namespace halftone::conformance {

namespace {

bool one_byte(ht_dtype dtype) {
    return dtype == HT_DTYPE_BOOL || (dtype >= HT_DTYPE_U8 && dtype <= HT_DTYPE_F8_E5M2FNUZ);
}

constexpr const char* layer_name = "blocks.0.proj";

std::vector<const uint8_t*> pointers(const Trial& trial) {
    std::vector<const uint8_t*> companions;
    for (size_t i = 0; i < trial.plan->stored().size(); ++i)
        companions.push_back(i == trial.plan->weight_index()
                                 ? nullptr
                                 : reinterpret_cast<const uint8_t*>(trial.written.companions[i].data()));
    return companions;
}

void check_values(const Trial& trial, const FormatPlan& plan, const Grid& grid, const char* how) {
    Matrix values(trial.matrix.rows, trial.matrix.cols);
    plan.decode(grid, values.region(), trial.written.weight, values.view());
    for (size_t i = 0; i < values.values.size(); ++i)
        if (!same_bits(values.values[i], trial.snapped.values[i]))
            broken("{}, decode() gives {} at row {}, column {}; it was written as {}", how,
                   number(values.values[i]), i / values.cols, i % values.cols,
                   number(trial.snapped.values[i]));
}

Outcome loading(Trial& trial) {
    const FormatPlan& plan = *trial.plan;
    Grid grid = plan.make_grid();
    try {
        plan.load(pointers(trial), grid);
    } catch (const Refusal& refusal) {
        broken("load() refuses the companions that the format wrote: {}", refusal.what());
    }
    check_values(trial, plan, grid, "after load() of its own companions");
    for (size_t i = 0; i < plan.stored().size(); ++i)
        if (i != plan.weight_index() && plan.companion(grid, i) != trial.written.companions[i])
            broken("after load() of its own companions, companion() gives another {}", plan.stored()[i].name);
    if (plan.facts().flags & HT_FACT_NOT_IDEMPOTENT) return Outcome::ok;
    Matrix again(trial.matrix.rows, trial.matrix.cols);
    plan.snap(grid, again.region(), trial.snapped.view(), again.view());
    for (size_t i = 0; i < again.values.size(); ++i)
        if (again.values[i] != trial.snapped.values[i])
            broken("after load() of its own companions, snap() moves {} at row {}, column {} to {}",
                   number(trial.snapped.values[i]), i / again.cols, i % again.cols, number(again.values[i]));
    return Outcome::ok;
}

// A companion that makes no sense is refused: one of its elements is NaN, or negative in a format that writes
// none such.
Outcome refusing_scales(Trial& trial) {
    const FormatPlan& plan = *trial.plan;
    Outcome outcome = Outcome::not_applicable;
    for (size_t i = 0; i < plan.stored().size(); ++i) {
        const StoredTensor& stored = plan.stored()[i];
        const size_t size = element_bytes(stored.dtype);
        const std::vector<std::byte>& good = trial.written.companions[i];
        if (!is_scale(stored.role) || size == 0 || good.size() < size) continue;
        const size_t which = trial.random.below(good.size() / size);
        bool negative = stored.role == HT_ROLE_NESTED_ABSMAX;
        for (size_t k = 0; k + size <= good.size(); k += size)
            negative |= odd_element(stored.dtype, good.data() + k) == Odd::negative;
        for (const auto& [what, spoil] : {std::pair("NaN", &set_nan), std::pair("negative", &set_negative)}) {
            std::vector<std::byte> bad = good;
            if (negative && spoil == &set_negative) continue;
            if (!spoil(stored.dtype, bad.data() + which * size)) continue;
            outcome = Outcome::ok;
            std::vector<const uint8_t*> companions = pointers(trial);
            companions[i] = reinterpret_cast<const uint8_t*>(bad.data());
            Grid grid = plan.make_grid();
            try {
                plan.load(companions, grid);
            } catch (const Refusal&) {
                continue;
            }
            // Padding that covers no value is nobody's concern.
            const Matrix values = trial.decoded(grid, trial.written.weight);
            if (!std::ranges::equal(values.values, trial.snapped.values, same_bits))
                broken("load() takes a {} whose element {} of {} is {}", stored.name, which,
                       good.size() / size, what);
        }
    }
    return outcome;
}

FoundLayer as_found(const Trial& trial) {
    constexpr size_t most_shown = 64 * 1024;
    FoundLayer layer{layer_name, {}, {}};
    for (size_t i = 0; i < trial.plan->stored().size(); ++i) {
        const StoredTensor& stored = trial.plan->stored()[i];
        const auto& bytes =
            i == trial.plan->weight_index() ? trial.written.weight : trial.written.companions[i];
        FoundLayer::Part part{
            stored.whole_file ? stored.name : layer_name + stored.name, stored.dtype, stored.shape, {}};
        if (bytes.size() <= most_shown) part.bytes = bytes;
        layer.parts.push_back(std::move(part));
    }
    const Json description = trial.plan->description();
    if (trial.source.dialect == HT_DIALECT_COMFY && !description.empty()) layer.marker = description.dump();
    return layer;
}

Outcome recognizing(Trial& trial) {
    Recognized found;
    try {
        found = trial.format.recognize(as_found(trial));
    } catch (const Refusal& refusal) {
        // A weight without marker and companions is a plain tensor, of which hosts ask nobody.
        if (trial.plan->stored().size() > 1 || !trial.plan->description().empty())
            trial.refusal = refusal.what();
        return Outcome::not_applicable;
    }
    const MatrixSource& source = found.source;
    if (source.rows != trial.source.rows || source.cols != trial.source.cols)
        broken("recognize() takes what it wrote for a {} x {} matrix", source.rows, source.cols);
    if (source.dialect != trial.source.dialect) broken("recognize() takes what it wrote for another layout");
    std::shared_ptr<const FormatPlan> plan;
    try {
        plan = trial.format.prepare(source, found.options);
    } catch (const Refusal& refusal) {
        broken("prepare() refuses what recognize() made of its own output ({}): {}",
               circumstances(source, found.options), refusal.what());
    }
    const auto &was = trial.plan->stored(), &is = plan->stored();
    const auto alike = [](const StoredTensor& a, const StoredTensor& b) {
        return a.role == b.role && a.name == b.name && a.dtype == b.dtype && a.bytes == b.bytes;
    };
    if (!std::ranges::equal(was, is, alike))
        broken("recognize() makes a plan of its own output ({}) that stores other tensors",
               circumstances(source, found.options));
    // A matrix of one row may be of two kinds; other layouts than this have no place for a description.
    const bool told = trial.source.dialect == HT_DIALECT_COMFY && trial.matrix.rows > 1;
    const bool same = std::ranges::equal(was, is, {}, &StoredTensor::shape, &StoredTensor::shape);
    if (told && same && plan->description() != trial.plan->description())
        broken("recognize() makes a plan of its own output that describes itself as {}, not {}",
               plan->description().dump(), trial.plan->description().dump());
    Grid grid = plan->make_grid();
    plan->load(pointers(trial), grid);
    check_values(trial, *plan, grid, "recognized and loaded");
    return Outcome::ok;
}

size_t count(const std::vector<uint64_t>& shape) {
    return std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>());
}

// A layer that nobody should take for one of this format.
struct Nonsense {
    std::string what;  // "whose marker is cut off"
    FoundLayer layer;
};

std::vector<Nonsense> nonsense(const Trial& trial, const FoundLayer& good) {
    std::vector<Nonsense> all;
    const auto add = [&](std::string what, const std::function<void(FoundLayer&)>& spoil) {
        spoil(all.emplace_back(Nonsense{std::move(what), good}).layer);
    };
    const size_t weight = trial.plan->weight_index();
    add("without any tensor", [](FoundLayer& layer) { layer.parts.clear(); });
    add("without its weight", [&](FoundLayer& layer) {
        layer.parts.erase(layer.parts.begin() + static_cast<std::ptrdiff_t>(weight));
    });
    // Not I8 for U8 or back: to loaders both are bytes.
    const ht_dtype stored = good.parts[weight].dtype;
    const bool bytes = stored == HT_DTYPE_I8 || stored == HT_DTYPE_U8;
    const ht_dtype same_size = bytes ? HT_DTYPE_F8_E5M2 : HT_DTYPE_I8;
    if (stored == HT_DTYPE_I8 || trial.written.weight.size() == trial.matrix.values.size())
        add("whose weight is of another type",
            [&](FoundLayer& layer) { layer.parts[weight].dtype = same_size; });
    add("whose weight is F64", [&](FoundLayer& layer) {
        layer.parts[weight].dtype = HT_DTYPE_F64;
        layer.parts[weight].bytes.reset();
    });
    add("whose weight has no dimensions", [&](FoundLayer& layer) { layer.parts[weight].shape.clear(); });
    add("whose weight has four dimensions", [&](FoundLayer& layer) {
        layer.parts[weight].shape.insert(layer.parts[weight].shape.begin(), {3, 3});
        layer.parts[weight].bytes.reset();
    });
    for (size_t i = 0; i < good.parts.size(); ++i) {
        if (i == weight) continue;
        const std::string& name = trial.plan->stored()[i].name;
        add("without its " + name, [&](FoundLayer& layer) {
            layer.parts.erase(layer.parts.begin() + static_cast<std::ptrdiff_t>(i));
        });
        add("whose " + name + " has three dimensions", [&](FoundLayer& layer) {
            FoundLayer::Part& part = layer.parts[i];
            // As many bytes as the shape needs: a file whose sizes disagree does not get this far.
            const size_t element =
                part.bytes ? part.bytes->size() / std::max<size_t>(1, count(part.shape)) : 0;
            part.shape = {7, 5, 3};
            if (part.bytes) part.bytes->resize(7 * 5 * 3 * std::max<size_t>(1, element));
        });
        // A marker's message is its presence or its shape, a text's its bytes, and so it is with companions
        // of one-byte numbers.
        const StoredTensor& stored = trial.plan->stored()[i];
        const bool only_bytes = stored.role != HT_ROLE_WEIGHT && one_byte(stored.dtype);
        if (stored.role != HT_ROLE_MARKER && stored.role != HT_ROLE_STATE_JSON && !only_bytes)
            add("whose " + name + " is BOOL",
                [&](FoundLayer& layer) { layer.parts[i].dtype = HT_DTYPE_BOOL; });
    }
    if (good.marker) {
        const std::string whole = *good.marker;
        for (const std::string& text : {whole.substr(0, whole.size() - 1), whole.substr(0, whole.size() / 2),
                                        std::string("{"), std::string("[]"), std::string("{\"format\": 7}"),
                                        std::string("{\"format\": \"of.nobody\"}"), std::string(40, '[')})
            add("whose marker is '" + text + "'", [&](FoundLayer& layer) { layer.marker = text; });
    }
    return all;
}

// Whether the host would see by itself, from numbers of bytes, that the plan is not the layer's.
bool sizes_differ(const FormatPlan& plan, const FoundLayer& layer) {
    return std::ranges::any_of(plan.stored(), [&](const StoredTensor& stored) {
        const std::string name = stored.whole_file ? stored.name : layer_name + stored.name;
        const auto part = std::ranges::find(layer.parts, name, &FoundLayer::Part::name);
        return part == layer.parts.end() || part->shape != stored.shape ||
               (part->dtype != stored.dtype && !(one_byte(part->dtype) && one_byte(stored.dtype)));
    });
}

// Labels that belong to somebody else.
Outcome leaving_others(Trial& trial) {
    FoundLayer layer = as_found(trial);
    if (!layer.marker || trial.labels_of_others.empty()) return Outcome::not_applicable;
    Json marker = Json::parse(*layer.marker);
    const std::string own = marker.at("format").get<std::string>();
    for (const std::string& label : trial.labels_of_others) {
        if (label == own) continue;
        marker["format"] = label;
        layer.marker = marker.dump();
        try {
            trial.format.recognize(layer);
        } catch (const Refusal&) {
            continue;
        }
        const std::vector<Format::Label> labels = trial.format.labels();
        if (std::ranges::find(labels, label, &Format::Label::label) == labels.end())
            broken("recognize() takes a layer for its own whose marker says '{}', a label of another format",
                   label);
    }
    return Outcome::ok;
}

Outcome refusing(Trial& trial) {
    const FoundLayer good = as_found(trial);
    try {
        trial.format.recognize(good);
    } catch (const Refusal&) {
        return Outcome::not_applicable;
    }
    for (const Nonsense& bad : nonsense(trial, good)) {
        try {
            const Recognized found = trial.format.recognize(bad.layer);
            const auto plan = trial.format.prepare(found.source, found.options);
            // What lacks a tensor may be whole, of options that store none.
            const bool whole =
                bad.layer.parts.size() < good.parts.size() && plan->stored().size() == bad.layer.parts.size();
            if (bad.layer.marker == good.marker && (whole || sizes_differ(*plan, bad.layer))) continue;
            broken("recognize() takes a layer {} for its own ({})", bad.what,
                   circumstances(found.source, found.options));
        } catch (const Refusal& refusal) {
            if (std::string_view(refusal.what()).ends_with("without a reason"))
                broken("recognize() refuses a layer {} without a reason", bad.what);
        }
    }
    return Outcome::ok;
}

}  // namespace

std::vector<Check> reading_checks() {
    return {{"load", "loaded companions give the values, and themselves", loading},
            {"recognize", "what was written is recognized and decodes to the same", recognizing},
            {"numbers", "scales that are no numbers are refused", refusing_scales},
            {"others", "layers with the labels of other formats are refused", leaving_others},
            {"nonsense", "layers that make no sense are refused", refusing}};
}

}  // namespace halftone::conformance
