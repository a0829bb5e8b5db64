#include "core/checkpoint/quantized.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "core/base/error.hpp"
#include "core/checkpoint/in_quotes.hpp"
#include "core/checkpoint/json_reader.hpp"

namespace halftone {
namespace {

constexpr std::string_view header_key = "_quantization_metadata";
constexpr std::string_view marker_suffix = ".comfy_quant";
constexpr std::string_view state_infix = ".weight.quant_state.";  // what follows names the state's kind
constexpr std::string_view marker_padding("\0 \t\r\n", 5);  // and in the wild all that some markers hold
constexpr uint64_t largest_marker = 64 * 1024;
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

constexpr std::array<Suffix, 18> suffixes = {{
    {".weight_scale", Proof::if_narrow},
    {".weight_scale_2", Proof::if_narrow},
    {".weight_scale_inv", Proof::if_narrow},
    {".weight_scalar", Proof::if_narrow},
    {".weight_s_rel", Proof::if_narrow},
    {".weight_s_channel", Proof::if_narrow},
    {".weight_codebook", Proof::if_narrow},
    {".weight_zero_point", Proof::if_narrow},
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
}};

bool is_narrow(ht_dtype dtype) {
    return dtype != HT_DTYPE_F64 && dtype != HT_DTYPE_F32 && dtype != HT_DTYPE_F16 && dtype != HT_DTYPE_BF16;
}

bool is_narrow_float(ht_dtype dtype) {
    return is_narrow(dtype) && dtype::is_float(dtype);
}

// The configuration of a layer, {"format": "...", ...}; leaves the reader behind it.
std::string read_label(JsonReader& json) {
    std::string label;
    if (json.peek() != JsonReader::Kind::object) {
        json.skip();
        return label;
    }
    json.begin_object();
    for (std::string key; json.next_member(key);) {
        if (key == "format" && json.peek() == JsonReader::Kind::string) {
            json.string(label);
        } else {
            json.skip();
        }
    }
    return label;
}

JsonReader reader_of(std::string_view text, std::string where, std::string subject) {
    return JsonReader({std::move(where), std::move(subject), 0, deepest_json,
                       [text]() mutable { return std::exchange(text, std::string_view()); }});
}

// Layers and labels of one file's quantization metadata.
std::map<std::string, std::string> read_header_labels(const CheckpointFile& file) {
    std::map<std::string, std::string> labels;
    const auto entry = std::find_if(file.metadata.begin(), file.metadata.end(),
                                    [](const auto& one) { return one.first == header_key; });
    if (entry == file.metadata.end()) return labels;
    JsonReader json = reader_of(entry->second, os::utf8(file.path), "metadata " + in_quotes(header_key));
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
            std::string label = read_label(json);
            labels.insert_or_assign(key, std::move(label));
        }
    }
    json.finish();
    return labels;
}

class Search {
  public:
    explicit Search(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

    std::vector<QuantizedLayer> run() {
        // In the order of what counts more: the first evidence stays.
        for (const CheckpointFile& file : checkpoint_.files())
            for (auto& [layer, label] : read_header_labels(file))
                if (weight_of(layer)) {
                    Draft& draft = found_[layer];
                    draft.in_header = true;
                    draft.prove(fmt::format("header entry {}", in_quotes(header_key)), std::move(label));
                }
        for (const Tensor& tensor : checkpoint_.tensors())
            look_at(tensor);
        apply_file_markers();

        std::vector<QuantizedLayer> layers;
        for (auto& [name, draft] : found_) {
            if (draft.layer.evidence.empty()) continue;
            draft.layer.name = name;
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

    const Tensor* weight_of(std::string_view layer) const {
        return checkpoint_.find(fmt::format("{}.weight", layer));
    }

    Draft& add_companion(std::string_view layer, const Tensor& tensor) {
        Draft& found = found_[std::string(layer)];
        found.layer.companions.push_back(tensor.name);
        return found;
    }

    void look_at(const Tensor& tensor) {
        const std::string_view name = tensor.name;
        look_for_file_marker(tensor);
        if (name.ends_with(marker_suffix)) {
            look_at_marker(tensor, name.substr(0, name.size() - marker_suffix.size()));
            return;
        }
        if (const size_t at = name.find(state_infix); at != std::string_view::npos) {
            const std::string_view layer = name.substr(0, at);
            if (weight_of(layer))
                add_companion(layer, tensor)
                    .prove(tensor.name, std::string(name.substr(at + state_infix.size())));
            return;
        }
        for (const auto& [text, proof] : suffixes) {
            if (!name.ends_with(text)) continue;
            const std::string_view layer = name.substr(0, name.size() - text.size());
            const Tensor* weight = weight_of(layer);
            if (!weight) continue;
            Draft& found = add_companion(layer, tensor);
            if (proof == Proof::always || (proof == Proof::if_narrow && is_narrow(weight->dtype)))
                found.prove(tensor.name, "");
            return;
        }
    }

    void look_at_marker(const Tensor& tensor, std::string_view layer) {
        const Tensor* weight = weight_of(layer);
        if (!weight) return;
        std::string text;
        if (tensor.bytes <= largest_marker) {
            text.resize(tensor.bytes);
            checkpoint_.read(tensor, 0, std::as_writable_bytes(std::span(text)));
            text.erase(text.find_last_not_of(marker_padding) + 1);
        }
        Draft& found = add_companion(layer, tensor);
        const bool empty = text.empty() && tensor.bytes <= largest_marker;
        if (empty && !is_narrow(weight->dtype)) return;
        std::string label;
        try {
            JsonReader json = reader_of(text, "", "");
            label = read_label(json);
            json.finish();
        } catch (const Error&) {
            label.clear();
        }
        // The marker says more than a scale that came before it in the order of names.
        if (!found.in_header) found.layer.evidence = tensor.name;
        found.prove(tensor.name, std::move(label));
    }

    // Older files mark themselves once, "scaled_..." after any prefix; the number of elements is a message.
    void look_for_file_marker(const Tensor& tensor) {
        const std::string_view name = tensor.name;
        const size_t dot = name.rfind('.');
        const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
        if (!last.starts_with("scaled_") || tensor.shape.size() > 1) return;
        if (element_count(tensor.shape).value_or(UINT64_MAX) > 2) return;
        file_markers_.try_emplace(dot == std::string_view::npos ? "" : name.substr(0, dot), name);
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

std::vector<QuantizedLayer> quantized_layers(const Checkpoint& checkpoint) {
    return Search(checkpoint).run();
}

}  // namespace halftone
