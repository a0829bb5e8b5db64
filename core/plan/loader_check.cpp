#include "core/plan/loader_check.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

#include <halftone/ext/draft/column_scale.h>

#include "core/base/json_text.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/json_reader.hpp"
#include "core/checkpoint/quantized.hpp"
#include "core/plan/layer_check.hpp"
#include "core/plan/selection.hpp"
#include "core/plan/stored_matrix.hpp"
#include "core/plan/stored_types.hpp"

namespace halftone {
namespace {

constexpr std::string_view legacy_scale = ".scale_weight";

Json parsed(const std::string& text) {
    return parse_json(text);
}

bool is_one_number(const Shape& shape) {
    return element_count(shape).value_or(0) == 1;
}

// What is wrong with one tensor of a layer, by what its format needs; the same text for every layer.
std::string fault_of(const StoredTensor& stored, const Tensor* tensor, uint64_t experts) {
    if (!tensor) return fmt::format("the file lacks its '{}'", stored.name);
    if (stored.role == HT_ROLE_COLUMN_SCALE) return "";  // what its format takes, loaders take
    const bool weight = stored.role == HT_ROLE_WEIGHT;
    if (!stands_for(*tensor, stored))
        return fmt::format("its '{}' is {}, and loaders need {}", stored.name, dtype::name(tensor->dtype),
                           dtype::name(stored.dtype));
    if (experts > 1) {  // a stack, or one scale for all of them
        const uint64_t each = element_count(stored.shape).value_or(0),
                       all = element_count(tensor->shape).value_or(0);
        return all == each * experts || (all == each && !weight)
                   ? ""
                   : fmt::format("its '{}' has the shape {} for {} experts", stored.name,
                                 to_string(tensor->shape), experts);
    }
    // Of bytes that come in the order of tiles only the number counts.
    const bool tiled = !weight && dtype::bits(stored.dtype) == 8;
    if (tensor->shape != stored.shape && !tiled &&
        !(is_one_number(tensor->shape) && is_one_number(stored.shape)))
        return fmt::format("its '{}' has the shape {}, and loaders need {}", stored.name,
                           to_string(tensor->shape), to_string(stored.shape));
    return "";
}

// The members of a JSON object. Exit::input if it is none.
std::vector<std::string> keys_of(std::string_view json, const std::string& subject) {
    JsonReader reader({.where = "", .subject = subject, .next = [json]() mutable {
                           return std::exchange(json, std::string_view());
                       }});
    std::vector<std::string> keys;
    reader.begin_object();
    for (std::string key; reader.next_member(key); reader.skip())
        keys.push_back(key);
    reader.finish();
    return keys;
}

// Where the loader's own reading of markers counts, ours must not stop at a header that it shrugs at.
std::vector<QuantizedLayer> layers_of(const Checkpoint& checkpoint, bool by_tensors) {
    return quantized_layers(checkpoint, by_tensors ? BrokenHeader::ignored : BrokenHeader::refused);
}

class Check {
  public:
    Check(std::shared_ptr<const Checkpoint> checkpoint, Registry& registry, const Loaders& loaders,
          const Families& families, const Loader& loader)
        : checkpoint_(std::move(checkpoint)),
          loaders_(loaders),
          loader_(loader),
          by_tensors_(loaders.describes_layers(loader.id)),
          recognition_(checkpoint_, registry) {
        result_.loader = loader.id;
        family_ = families.family_of(checkpoint_->tensors(), loader.id);
        kind_ = families.kind_of(checkpoint_->tensors(), loader.id);
        if (kind_ || family_.family) result_.family = kind_ ? kind_->name : family_.family->name;
    }

    LoaderCheck run() {
        for (LayerMarker& marker : layer_markers(*checkpoint_))
            markers_.emplace(marker.layer, std::move(marker));
        for (const auto& [key, value] : checkpoint_->metadata())
            in_header_ = in_header_ || key == quantization_metadata_key;
        if (by_tensors_) acting_ = acting_markers(*checkpoint_, loader_);
        for (const QuantizedLayer& layer : layers_of(*checkpoint_, by_tensors_))
            look_at(layer);
        look_at_layers_that_only_the_loader_sees();
        look_at_file();
        look_at_other_tensors();
        return std::move(result_);
    }

  private:
    // Entries of the header without the prefix of the names.
    void look_at_layers_that_only_the_loader_sees() {
        const size_t seen = result_.layers.size();
        for (const auto& [name, acting] : acting_.layers) {
            const auto end = result_.layers.begin() + static_cast<std::ptrdiff_t>(seen);
            const auto at = std::lower_bound(
                result_.layers.begin(), end, name,
                [](const LayerVerdict& one, const std::string& other) { return one.layer < other; });
            const size_t rank = checkpoint_->find(name + ".weight")->shape.size();
            if ((rank != 2 && rank != 3) || (at != end && at->layer == name) ||
                label_of(read(*checkpoint_, acting).value).empty())
                continue;
            QuantizedLayer layer;
            layer.name = name;
            look_at(layer);
        }
        std::ranges::stable_sort(result_.layers, {}, &LayerVerdict::layer);
    }

    void look_at(const QuantizedLayer& layer) {
        LayerVerdict verdict{layer.name, layer.label, "", {}};
        own_tensors_.insert(layer.name + ".weight");
        own_tensors_.insert(layer.companions.begin(), layer.companions.end());
        const auto acting = acting_.layers.find(layer.name);
        const bool described = by_tensors_ && (acting != acting_.layers.end() || !layer.label.empty());
        const MarkerJson acted_on =
            acting != acting_.layers.end() ? read(*checkpoint_, acting->second) : MarkerJson();
        if (acting != acting_.layers.end() && !acting->second.legacy)
            verdict.label = label_of(acted_on.value);
        const Recognized found = recognized(layer, verdict.label);
        verdict.format = found.matrix ? found.matrix->shown : "";
        verdict.judgment = found.judgment;
        if (acting != acting_.layers.end() && !found.in_other_layout)
            verdict.judgment = LayerCheck(*checkpoint_, loaders_, loader_, family_)
                                   .judge(layer.name, acting->second, acted_on,
                                          {found.matrix != nullptr, found.why_not, found.judgment});
        else if (by_tensors_ && !described && is_legacy(found, layer))
            refuse_unconverted(verdict.judgment);
        else if (by_tensors_ && !described && marked_by_file(layer))
            verdict.judgment.refuse(
                fmt::format("it has no scale, though '{}' says that the weights of 8 bits have one: {} takes "
                            "its numbers as "
                            "they are",
                            layer.evidence, loader_.name));
        if (acting == acting_.layers.end() || !by_tensors_) check_marker(layer, verdict.judgment);
        check_headers(layer, verdict.judgment);
        check_dtypes(layer, verdict.judgment);
        check_kind(verdict.judgment);
        result_.layers.push_back(std::move(verdict));
    }

    // What formats here make of a layer.
    struct Recognized {
        std::shared_ptr<const StoredMatrix> matrix;  // null: none can read it
        Judgment judgment;                           // by labels
        std::string why_not;
        bool in_other_layout = false;  // than loaders that go by markers read
    };

    Recognized recognized(const QuantizedLayer& layer, const std::string& label) {
        Recognized result;
        try {
            result.matrix = recognition_.recognize(layer);
            const StoredMatrix& matrix = *result.matrix;
            const ht_dialect dialect = matrix.plan->source().dialect;
            if (dialect == HT_DIALECT_LEGACY) legacy_ = true;
            result.in_other_layout = dialect == HT_DIALECT_BITSANDBYTES;
            StoredAs stored{*matrix.format,
                            matrix.options,
                            *matrix.plan,
                            dialect == HT_DIALECT_COMFY ? label : "",
                            parsed(layer.configuration),
                            is_embedding(layer.name + ".weight")};
            result.judgment = judge(loaders_, loader_, stored);
            for (size_t i = 0; result.judgment.taken && i < matrix.parts.size(); ++i) {
                const StoredTensor& needed = matrix.plan->stored()[i];
                if (may_differ_in_length(needed)) continue;
                if (std::string fault = fault_of(needed, matrix.parts[i], matrix.experts()); !fault.empty())
                    result.judgment.refuse(std::move(fault));
            }
            check_state(matrix, result.judgment);
        } catch (const Unrecognized& error) {
            std::string reason = label.empty() ? error.problem() : "";
            for (const Unrecognized::Answer& answer : error.answers())
                if (answer.knows_label && !label.empty())
                    reason += (reason.empty() ? "" : "; ") + answer.format + ": " + answer.reason;
            result.why_not = reason.empty() ? "no format here knows its label" : reason;
            result.judgment = judge_label(loaders_, loader_, label, reason);
        } catch (const Error& error) {
            if (error.code() != Exit::input) throw;
            const std::string prefix = layer.name + ".";
            if (error.where().starts_with(prefix))
                result.why_not = fmt::format("its '.{}' ", error.where().substr(prefix.size()));
            result.why_not += error.problem();
            result.judgment.reason = result.why_not;
        }
        return result;
    }

    static bool is_legacy(const Recognized& found, const QuantizedLayer& layer) {
        if (found.matrix) return found.matrix->plan->source().dialect == HT_DIALECT_LEGACY;
        return std::ranges::any_of(layer.companions,
                                   [](const std::string& name) { return name.ends_with(legacy_scale); });
    }

    // The mark of the whole file is all that speaks for the layer.
    bool marked_by_file(const QuantizedLayer& layer) const {
        return layer.label.empty() && !loader_.legacy_marker.empty() &&
               layer.evidence.ends_with(loader_.legacy_marker);
    }

    // Scales of the legacy layout that the loader does not look for.
    void refuse_unconverted(Judgment& judgment) const {
        judgment.refuse(
            in_header_
                ? fmt::format("the header has '{}', and so {} does not convert layers of the legacy layout",
                              quantization_metadata_key, loader_.name)
                : fmt::format("no tensor '{}' marks the file, and so {} takes the weight without its scale",
                              loader_.legacy_marker, loader_.name),
            "halftone run with this file as its input writes one that it takes");
    }

    void check_kind(Judgment& judgment) const {
        if (judgment.taken && kind_ && !kind_->quantized)
            judgment.refuse(fmt::format("the file is {}: {}", kind_->name, kind_->says));
    }

    // Formats overlook what they do not know in a quant_state's JSON; its own loaders do not.
    void check_state(const StoredMatrix& matrix, Judgment& judgment) const {
        if (loader_.state_keys.empty()) return;
        for (size_t i = 0; judgment.taken && i < matrix.parts.size(); ++i) {
            const Tensor* state = matrix.parts[i];
            if (!state || matrix.plan->stored()[i].role != HT_ROLE_STATE_JSON) continue;
            std::string text(state->bytes, '\0');
            checkpoint_->read(*state, 0, std::as_writable_bytes(std::span(text)));
            for (const std::string& key : keys_of(text, "its quant_state"))
                if (std::ranges::find(loader_.state_keys, key) == loader_.state_keys.end())
                    return judgment.refuse(
                        fmt::format("its quant_state has a key '{}', which {} does not know",
                                    text::printable(key), loader_.name),
                        "halftone run with this file as its input and layout = \"bitsandbytes\" "
                        "writes one without it");
        }
    }

    // What the marker says, where the loader's own reading of it is not described.
    void check_marker(const QuantizedLayer& layer, Judgment& judgment) {
        if (!loader_.reads_layout("comfyui") || layer.in_header) return;
        const auto found = markers_.find(layer.name);
        if (found == markers_.end() || !judgment.taken) return;
        if (found->second.ends_in_nul)
            judgment.refuse("its marker ends in NUL bytes, which loaders' JSON readers refuse",
                            "halftone run with this file as its input writes a clean one");
    }

    // Where a marker and an entry in the header speak for one layer.
    void check_headers(const QuantizedLayer& layer, Judgment& judgment) {
        const auto found = markers_.find(layer.name);
        if (!loader_.reads_layout("comfyui") || found == markers_.end() || !judgment.taken ||
            !layer.in_header)
            return;
        const Json in_marker = parsed(found->second.text), in_header = parsed(layer.configuration);
        std::vector<std::string> different;
        for (const std::string& key : loader_.marker_keys) {
            const std::string ours = marker_value(in_marker, key), theirs = marker_value(in_header, key);
            if (ours == theirs) continue;
            different.push_back(fmt::format("{} ({} in the marker, {} in the header)", key,
                                            ours.empty() ? "nothing" : ours,
                                            theirs.empty() ? "nothing" : theirs));
        }
        if (!different.empty())
            judgment.remarks.push_back("header and marker disagree, and the header counts: " +
                                       text::printable(text::join(different, ", "), 300));
    }

    void check_dtypes(const QuantizedLayer& layer, Judgment& judgment) {
        if (!judgment.taken) return;
        std::vector<std::string> names = layer.companions;
        names.push_back(layer.name + ".weight");
        for (const std::string& name : names) {
            const Tensor* tensor = checkpoint_->find(name);
            if (tensor && !loader_.knows_dtype(dtype::name(tensor->dtype)))
                return judgment.refuse(fmt::format("its '{}': {}", name.substr(layer.name.size()),
                                                   unknown_dtype(loader_, tensor->dtype)));
        }
    }

    void look_at_file() {
        const size_t files = checkpoint_->files().size();
        if (loader_.single_files && files > 1)
            result_.obstacles.push_back(
                {"",
                 fmt::format("{} reads single files only, and this checkpoint has {}", loader_.name, files),
                 "halftone run without shard_size writes one file"});
        for (const auto& [key, value] : loader_.metadata) {
            const Metadata& metadata = checkpoint_->metadata();
            const auto found = std::ranges::find(metadata, key, &Metadata::value_type::first);
            if (found == metadata.end() || found->second != value)
                result_.obstacles.push_back(
                    {"",
                     fmt::format("{} wants \"{}\": \"{}\" in the header's __metadata__, which {}",
                                 loader_.name, key, value,
                                 found == metadata.end()
                                     ? "is not there"
                                     : fmt::format("says \"{}\"", text::printable(found->second))),
                     ""});
        }
        if (!acting_.header_fault.empty())
            result_.obstacles.push_back(
                {"",
                 fmt::format("{} stops at the header's '{}': {}", loader_.name, quantization_metadata_key,
                             acting_.header_fault),
                 "halftone run with this file as its input leaves it out, or writes a whole one"});
        if (acting_.refused_scale)
            result_.obstacles.push_back(
                {acting_.refused_scale->name,
                 fmt::format("{} takes input scales of one number only, and this has the shape {}",
                             loader_.name, to_string(acting_.refused_scale->shape)),
                 ""});
        if (kind_) result_.remarks.push_back(fmt::format("it is {}: {}", kind_->name, kind_->says));
        if (legacy_ && in_header_ && loader_.reads_layout("legacy") && !by_tensors_)
            result_.obstacles.push_back(
                {"",
                 fmt::format("the header has '{}', and so {} does not convert layers of the legacy layout",
                             quantization_metadata_key, loader_.name),
                 "quantize the file anew, into one layout"});
    }

    void look_at_other_tensors() {
        uint64_t dummies = 0;
        std::string example;
        for (const Tensor& tensor : checkpoint_->tensors()) {
            if (own_tensors_.contains(tensor.name)) continue;
            ++result_.other_tensors;
            if (!loader_.knows_dtype(dtype::name(tensor.dtype)))
                result_.obstacles.push_back({tensor.name, unknown_dtype(loader_, tensor.dtype), ""});
            if (legacy_ && tensor.name.ends_with(legacy_scale) && dummies++ == 0) example = tensor.name;
        }
        if (dummies > 0 && loader_.reads_layout("legacy") && !in_header_)
            result_.remarks.push_back(
                fmt::format("{} beside numbers that are not quantized, like '{}': loaders take these for "
                            "quantized, too, and cast them",
                            text::plural(dummies, "scale"), text::printable(example)));
        if (!loader_.reads_layout("comfyui")) return;
        look_at_empty_markers();
    }

    // Markers beside weights that are not quantized.
    void look_at_empty_markers() {
        std::set<std::string_view> judged;
        for (const LayerVerdict& verdict : result_.layers)
            judged.insert(verdict.layer);
        for (const auto& [layer, marker] : markers_) {
            if (judged.contains(layer)) continue;
            const Tensor* weight = checkpoint_->find(layer + ".weight");
            const auto acting = acting_.layers.find(layer);
            const bool module = weight && (weight->shape.size() == 2 || weight->shape.size() == 3);
            std::string problem;
            if (module && acting != acting_.layers.end())
                problem = read(*checkpoint_, acting->second).problem;
            if (by_tensors_ ? !problem.empty() : marker.text.empty())
                result_.obstacles.push_back(
                    {marker.tensor->name,
                     marker.text.empty()
                         ? fmt::format("the marker is empty, and {} stops at it", loader_.name)
                         : fmt::format("{} stops at it: {}", loader_.name, problem),
                     "a [[rule]] with match = \"*.comfy_quant\" and action = \"remove\" leaves it out"});
        }
    }

    std::shared_ptr<const Checkpoint> checkpoint_;
    const Loaders& loaders_;
    const Loader& loader_;
    const bool by_tensors_;  // it is described what the loader does with each
    FoundFamily family_;
    const FileKind* kind_ = nullptr;
    ActingMarkers acting_;
    Recognition recognition_;
    LoaderCheck result_;
    std::map<std::string, LayerMarker, std::less<>> markers_;
    std::set<std::string, std::less<>> own_tensors_;  // of quantized layers
    bool in_header_ = false, legacy_ = false;
};

}  // namespace

uint64_t LoaderCheck::refused_layers() const {
    return static_cast<uint64_t>(
        std::ranges::count_if(layers, [](const LayerVerdict& one) { return !one.judgment.taken; }));
}

LoaderCheck check_for_loader(std::shared_ptr<const Checkpoint> checkpoint, Registry& registry,
                             const Loaders& loaders, const Families& families, const Loader& loader) {
    return Check(std::move(checkpoint), registry, loaders, families, loader).run();
}

}  // namespace halftone
