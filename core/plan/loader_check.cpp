#include "core/plan/loader_check.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

#include <halftone/ext/draft/column_scale.h>

#include "core/base/text.hpp"
#include "core/checkpoint/json_reader.hpp"
#include "core/checkpoint/quantized.hpp"
#include "core/plan/selection.hpp"
#include "core/plan/stored_matrix.hpp"
#include "core/plan/stored_types.hpp"

namespace halftone {
namespace {

constexpr std::string_view legacy_scale = ".scale_weight";

Json parsed(const std::string& text) {
    return Json::parse(text, nullptr, false);
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

class Check {
  public:
    Check(std::shared_ptr<const Checkpoint> checkpoint, Registry& registry, const Loaders& loaders,
          const Loader& loader)
        : checkpoint_(std::move(checkpoint)),
          loaders_(loaders),
          loader_(loader),
          recognition_(checkpoint_, registry) {
        result_.loader = loader.id;
    }

    LoaderCheck run() {
        for (LayerMarker& marker : layer_markers(*checkpoint_))
            markers_.emplace(marker.layer, std::move(marker));
        for (const auto& [key, value] : checkpoint_->metadata())
            in_header_ = in_header_ || key == quantization_metadata_key;
        for (const QuantizedLayer& layer : quantized_layers(*checkpoint_))
            look_at(layer);
        look_at_file();
        look_at_other_tensors();
        return std::move(result_);
    }

  private:
    void look_at(const QuantizedLayer& layer) {
        LayerVerdict verdict{layer.name, layer.label, "", {}};
        own_tensors_.insert(layer.name + ".weight");
        own_tensors_.insert(layer.companions.begin(), layer.companions.end());
        verdict.judgment = judgment_of(layer, verdict.format);
        check_marker(layer, verdict.judgment);
        check_dtypes(layer, verdict.judgment);
        result_.layers.push_back(std::move(verdict));
    }

    Judgment judgment_of(const QuantizedLayer& layer, std::string& shown) {
        try {
            const auto matrix = recognition_.recognize(layer);
            shown = matrix->shown;
            const ht_dialect dialect = matrix->plan->source().dialect;
            if (dialect == HT_DIALECT_LEGACY) legacy_ = true;
            StoredAs stored{*matrix->format,
                            matrix->options,
                            *matrix->plan,
                            dialect == HT_DIALECT_COMFY ? layer.label : "",
                            parsed(layer.configuration),
                            is_embedding(layer.name + ".weight")};
            Judgment judgment = judge(loaders_, loader_, stored);
            for (size_t i = 0; judgment.taken && i < matrix->parts.size(); ++i) {
                const StoredTensor& needed = matrix->plan->stored()[i];
                if (may_differ_in_length(needed)) continue;
                if (std::string fault = fault_of(needed, matrix->parts[i], matrix->experts()); !fault.empty())
                    judgment.refuse(std::move(fault));
            }
            check_state(*matrix, judgment);
            return judgment;
        } catch (const Unrecognized& error) {
            std::string reason = layer.label.empty() ? error.problem() : "";
            for (const Unrecognized::Answer& answer : error.answers())
                if (answer.knows_label && !layer.label.empty())
                    reason += (reason.empty() ? "" : "; ") + answer.format + ": " + answer.reason;
            return judge_label(loaders_, loader_, layer.label, reason);
        } catch (const Error& error) {
            if (error.code() != Exit::input) throw;
            Judgment judgment;
            const std::string prefix = layer.name + ".";
            if (error.where().starts_with(prefix))
                judgment.reason = fmt::format("its '.{}' ", error.where().substr(prefix.size()));
            judgment.reason += error.problem();
            return judgment;
        }
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

    // What the marker says, beside what counts.
    void check_marker(const QuantizedLayer& layer, Judgment& judgment) {
        if (!loader_.reads_layout("comfyui")) return;
        const auto found = markers_.find(layer.name);
        if (found == markers_.end() || !judgment.taken) return;
        const LayerMarker& marker = found->second;
        if (!layer.in_header) {
            if (marker.ends_in_nul)
                judgment.refuse("its marker ends in NUL bytes, which loaders' JSON readers refuse",
                                "halftone run with this file as its input writes a clean one");
            return;
        }
        const Json in_marker = parsed(marker.text), in_header = parsed(layer.configuration);
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
        if (legacy_ && in_header_ && loader_.reads_layout("legacy"))
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
                fmt::format("{} scales lie beside weights that are not quantized, like '{}': loaders take "
                            "these for quantized, too, and cast them without a scale",
                            dummies, text::printable(example)));
        if (!loader_.reads_layout("comfyui")) return;
        for (const auto& [layer, marker] : markers_) {
            const std::string name = marker.tensor->name;
            if (own_tensors_.contains(name) && !marker.text.empty()) continue;
            if (!marker.text.empty() ||
                std::ranges::binary_search(result_.layers, layer, {}, &LayerVerdict::layer))
                continue;
            result_.obstacles.push_back(
                {name, fmt::format("the marker is empty, and {} stops at it", loader_.name),
                 "a [[rule]] with match = \"*.comfy_quant\" and action = \"remove\" leaves it out"});
        }
    }

    std::shared_ptr<const Checkpoint> checkpoint_;
    const Loaders& loaders_;
    const Loader& loader_;
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
                             const Loaders& loaders, const Loader& loader) {
    return Check(std::move(checkpoint), registry, loaders, loader).run();
}

}  // namespace halftone
