#include "core/checkpoint/quantized.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "core/base/error.hpp"
#include "core/checkpoint/in_quotes.hpp"
#include "core/checkpoint/json_reader.hpp"
#include "core/checkpoint/layer_configuration.hpp"
#include "core/checkpoint/marker_text.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

constexpr std::string_view marker_suffix = ".comfy_quant";
constexpr std::string_view state_infix = ".weight.quant_state.";  // what follows names the state's kind
constexpr std::string_view marker_padding("\0 \t\r\n", 5);  // and in the wild all that some markers hold
constexpr unsigned deepest_json = 16;

// What a tensor beside a weight says about it.
enum class Proof {
    none,       // belongs to the weight, but layers that are not quantized may have it too
    if_narrow,  // means something only if the weight is not plain floating point
    always,
};

struct Suffix {
    std::string_view text;
    Proof proof;
};

constexpr std::array<Suffix, 22> suffixes = {{
    {".weight_scale", Proof::if_narrow},
    {".weight_scale_2", Proof::if_narrow},
    {".weight_scale_inv", Proof::if_narrow},
    {".weight_scalar", Proof::if_narrow},
    {".weight_s_rel", Proof::if_narrow},
    {".weight_s_channel", Proof::if_narrow},
    {".weight_codebook", Proof::if_narrow},
    {".weight_zero_point", Proof::if_narrow},
    {".weight_zeros", Proof::if_narrow},
    {".weight_zero", Proof::if_narrow},
    {".weight_correction", Proof::if_narrow},
    {".scale_weight", Proof::if_narrow},
    {".absmax", Proof::if_narrow},
    {".SCB", Proof::if_narrow},
    {".weight.absmax", Proof::always},
    {".weight.quant_map", Proof::always},
    {".weight.nested_absmax", Proof::always},
    {".weight.nested_quant_map", Proof::always},
    {".weight_format", Proof::none},
    {".input_scale", Proof::none},
    {".scale_input", Proof::none},
    {".pre_quant_scale", Proof::none},
}};

bool is_narrow(ht_dtype dtype) {
    return dtype != HT_DTYPE_F64 && dtype != HT_DTYPE_F32 && dtype != HT_DTYPE_F16 && dtype != HT_DTYPE_BF16;
}

bool is_narrow_float(ht_dtype dtype) {
    return is_narrow(dtype) && dtype::is_float(dtype);
}

JsonReader reader_of(std::string_view text, std::string where, std::string subject) {
    return JsonReader({std::move(where), std::move(subject), 0, deepest_json,
                       [text]() mutable { return std::exchange(text, std::string_view()); }});
}

// The entries of one file's quantization metadata.
std::map<std::string, LayerConfiguration> read_header(const CheckpointFile& file) {
    std::map<std::string, LayerConfiguration> layers;
    const auto entry = std::find_if(file.metadata.begin(), file.metadata.end(),
                                    [](const auto& one) { return one.first == quantization_metadata_key; });
    if (entry == file.metadata.end()) return layers;
    JsonReader json =
        reader_of(entry->second, os::utf8(file.path), "metadata " + in_quotes(quantization_metadata_key));
    if (json.peek() != JsonReader::Kind::object)
        json.refuse("this must be an object, not {}", name(json.peek()));
    json.begin_object();
    for (std::string key; json.next_member(key);) {
        if (key != "layers" || json.peek() != JsonReader::Kind::object) {
            json.skip();
            continue;
        }
        json.begin_object();
        while (json.next_member(key)) {
            LayerConfiguration configuration = read_configuration(json);
            layers.insert_or_assign(key, std::move(configuration));
        }
    }
    json.finish();
    return layers;
}

std::string too_long(std::string_view what) {
    return fmt::format("{} has more than {} KiB", what, largest_configuration / 1024);
}

// Older files mark themselves once, "scaled_..." after any prefix; the number of elements is a message.
// Tells the prefix.
std::optional<std::string_view> prefix_of_marker(const Tensor& tensor) {
    const std::string_view name = tensor.name;
    const size_t dot = name.rfind('.');
    const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
    if (!last.starts_with("scaled_") || tensor.shape.size() > 1) return std::nullopt;
    if (element_count(tensor.shape).value_or(UINT64_MAX) > 2) return std::nullopt;
    return dot == std::string_view::npos ? "" : name.substr(0, dot);
}

std::string whole_text(const Checkpoint& checkpoint, const Tensor& tensor) {
    std::string text(tensor.bytes, '\0');
    checkpoint.read(tensor, 0, std::as_writable_bytes(std::span(text)));
    return text;
}

std::string without_padding(std::string text) {
    text.erase(text.find_last_not_of(marker_padding) + 1);
    return text;
}

class Search {
  public:
    Search(const Checkpoint& checkpoint, BrokenHeader broken) : checkpoint_(checkpoint), broken_(broken) {}

    std::vector<QuantizedLayer> run() {
        // In the order of what counts more: the first evidence stays.
        for (const CheckpointFile& file : checkpoint_.files())
            for (auto& [layer, configuration] : header_of(file))
                if (weight_of(layer)) {
                    Draft& draft = found_[layer];
                    if (draft.in_header) continue;
                    draft.in_header = true;
                    draft.layer.configuration = std::move(configuration.text);
                    if (configuration.too_long) draft.layer.problem = too_long("its entry in the header");
                    draft.prove(fmt::format("header entry {}", in_quotes(quantization_metadata_key)),
                                std::move(configuration.label));
                }
        for (const Tensor& tensor : checkpoint_.tensors())
            look_at(tensor);
        apply_file_markers();

        std::vector<QuantizedLayer> layers;
        for (auto& [name, draft] : found_) {
            if (draft.layer.evidence.empty()) continue;
            draft.layer.name = name;
            draft.layer.in_header = draft.in_header;
            for (const Tensor* tensor : tensors_of_layer(checkpoint_, name))
                if (!tensor->name.ends_with(".weight") && !tensor->name.ends_with(".bias"))
                    draft.layer.companions.push_back(tensor->name);
            layers.push_back(std::move(draft.layer));
        }
        return layers;
    }

  private:
    struct Draft {
        QuantizedLayer layer;
        bool in_header = false;

        void prove(std::string evidence, std::string label) {
            if (layer.evidence.empty()) layer.evidence = std::move(evidence);
            if (layer.label.empty()) layer.label = std::move(label);
        }
    };

    std::map<std::string, LayerConfiguration> header_of(const CheckpointFile& file) const {
        try {
            return read_header(file);
        } catch (const Error&) {
            if (broken_ == BrokenHeader::refused) throw;
            return {};
        }
    }

    const Tensor* weight_of(std::string_view layer) const {
        return checkpoint_.find(fmt::format("{}.weight", layer));
    }

    void look_at(const Tensor& tensor) {
        const std::string_view name = tensor.name;
        if (const auto prefix = prefix_of_marker(tensor)) file_markers_.try_emplace(*prefix, name);
        if (name.ends_with(marker_suffix)) {
            look_at_marker(tensor, name.substr(0, name.size() - marker_suffix.size()));
            return;
        }
        if (const size_t at = name.find(state_infix); at != std::string_view::npos) {
            const std::string_view layer = name.substr(0, at);
            if (weight_of(layer))
                found_[std::string(layer)].prove(tensor.name,
                                                 std::string(name.substr(at + state_infix.size())));
            return;
        }
        for (const auto& [text, proof] : suffixes) {
            if (!name.ends_with(text)) continue;
            const std::string_view layer = name.substr(0, name.size() - text.size());
            const Tensor* weight = weight_of(layer);
            if (!weight) continue;
            Draft& found = found_[std::string(layer)];
            if (proof == Proof::always || (proof == Proof::if_narrow && is_narrow(weight->dtype))) {
                found.prove(tensor.name, "");
            } else if (proof == Proof::if_narrow && found.layer.evidence.empty() && !says_nothing(tensor)) {
                found.prove(tensor.name, "");
                found.layer.problem = fmt::format(
                    "its weight is plain {}, but beside it lies {} with other numbers than {}, so "
                    "that it is not certain what the weight's numbers are",
                    dtype::name(weight->dtype), in_quotes(tensor.name), neutral(tensor));
            }
            return;
        }
    }

    // The number by which a tensor beside a weight changes nothing.
    static float neutral(const Tensor& tensor) {
        const std::string_view name = tensor.name;
        const bool is_added = name.ends_with(".weight_zero_point") || name.ends_with(".weight_zeros") ||
                              name.ends_with(".weight_zero") || name.ends_with(".weight_correction");
        return is_added ? 0.0f : 1.0f;
    }

    // Older files have scales of 1 beside layers that were never quantized.
    bool says_nothing(const Tensor& tensor) const {
        constexpr uint64_t most_bytes = 1 << 20;
        const uint64_t elements = element_count(tensor.shape).value_or(0);
        if (!dtype::widens(tensor.dtype) || tensor.bytes > most_bytes) return false;
        std::vector<float> values(elements);
        widen(tensor.dtype, checkpoint_.read_all(tensor), values);
        return std::ranges::all_of(values, [&](float value) { return value == neutral(tensor); });
    }

    void look_at_marker(const Tensor& tensor, std::string_view layer) {
        const Tensor* weight = weight_of(layer);
        if (!weight) return;
        Draft& found = found_[std::string(layer)];
        LayerConfiguration marker;
        std::string problem;
        if (tensor.bytes > largest_configuration) {
            problem = too_long("its marker");
        } else {
            marker.text = without_padding(marker_text(whole_text(checkpoint_, tensor)));
            if (marker.text.empty()) {
                if (!is_narrow(weight->dtype)) return;
                problem = "its marker is empty";
            } else {
                problem = read_marker(marker);
            }
        }
        if (!found.in_header) {
            // The marker says more than a scale that came before it in the order of names.
            found.layer.evidence = tensor.name;
            found.layer.configuration = std::move(marker.text);
            found.layer.problem = std::move(problem);
        }
        found.prove(tensor.name, std::move(marker.label));
    }

    // Reads the label of a marker's text; tells what is wrong with it.
    static std::string read_marker(LayerConfiguration& marker) {
        try {
            JsonReader json = reader_of(marker.text, "", "its marker");
            std::string label = read_configuration(json).label;
            json.finish();
            marker.label = std::move(label);
            return {};
        } catch (const Error& error) {
            return error.what();
        }
    }

    // Below a marker's prefix, narrow floats are scaled even where the scale itself is missing.
    void apply_file_markers() {
        constexpr std::string_view ending = ".weight";
        if (file_markers_.empty()) return;
        for (const Tensor& tensor : checkpoint_.tensors()) {
            const std::string_view name = tensor.name;
            if (!name.ends_with(ending) || !is_narrow_float(tensor.dtype)) continue;
            const std::string_view layer = name.substr(0, name.size() - ending.size());
            for (std::string_view prefix = layer;;) {
                const size_t dot = prefix.rfind('.');
                prefix = dot == std::string_view::npos ? std::string_view() : prefix.substr(0, dot);
                if (const auto marker = file_markers_.find(prefix); marker != file_markers_.end()) {
                    found_[std::string(layer)].prove(marker->second, "");
                    break;
                }
                if (prefix.empty()) break;
            }
        }
    }

    const Checkpoint& checkpoint_;
    const BrokenHeader broken_;
    std::map<std::string, Draft> found_;
    std::map<std::string_view, std::string> file_markers_;  // by the prefix that they are for
};

}  // namespace

std::vector<std::string_view> companion_suffixes() {
    std::vector<std::string_view> result = {marker_suffix};
    for (const Suffix& suffix : suffixes)
        result.push_back(suffix.text);
    return result;
}

std::vector<const Tensor*> tensors_of_layer(const Checkpoint& checkpoint, std::string_view layer) {
    std::vector<const Tensor*> found;
    const std::string prefix = std::string(layer) + ".";
    const std::vector<Tensor>& tensors = checkpoint.tensors();
    for (auto at = std::ranges::lower_bound(tensors, prefix, {}, &Tensor::name);
         at != tensors.end() && at->name.starts_with(prefix); ++at) {
        const std::string_view rest = std::string_view(at->name).substr(prefix.size());
        if (rest.find('.') == std::string_view::npos || rest.starts_with("weight.")) found.push_back(&*at);
    }
    return found;
}

bool is_named_like_companion(std::string_view tensor) {
    return tensor.ends_with(marker_suffix) || tensor.find(state_infix) != std::string_view::npos ||
           std::ranges::any_of(suffixes, [&](const Suffix& suffix) { return tensor.ends_with(suffix.text); });
}

bool is_known_to_host(std::string_view layer, std::string_view tensor) {
    static constexpr std::array<std::string_view, 6> suffixes_known = {
        ".weight", ".bias", marker_suffix, ".input_scale", ".scale_input", ".weight_format"};
    return tensor.starts_with(layer) &&
           std::ranges::find(suffixes_known, tensor.substr(layer.size())) != suffixes_known.end();
}

std::vector<LayerMarker> layer_markers(const Checkpoint& checkpoint) {
    std::vector<LayerMarker> markers;
    for (const Tensor& tensor : checkpoint.tensors()) {
        if (!tensor.name.ends_with(marker_suffix)) continue;
        LayerMarker marker{
            tensor.name.substr(0, tensor.name.size() - marker_suffix.size()), &tensor, {}, false};
        if (tensor.bytes <= largest_configuration) {
            const std::string whole = marker_text(whole_text(checkpoint, tensor));
            marker.text = without_padding(whole);
            marker.ends_in_nul = !marker.text.empty() && whole.ends_with('\0');
        }
        markers.push_back(std::move(marker));
    }
    return markers;
}

std::vector<std::string> whole_file_markers(const Checkpoint& checkpoint) {
    std::vector<std::string> names;
    for (const Tensor& tensor : checkpoint.tensors())
        if (prefix_of_marker(tensor)) names.push_back(tensor.name);
    return names;
}

std::vector<QuantizedLayer> quantized_layers(const Checkpoint& checkpoint, BrokenHeader broken) {
    return Search(checkpoint, broken).run();
}

}  // namespace halftone
