#include "core/plan/acting_markers.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <span>

#include "core/checkpoint/layer_configuration.hpp"
#include "core/checkpoint/quantized.hpp"
#include "core/plan/profile.hpp"

namespace halftone {
namespace {

constexpr std::string_view marker_suffix = ".comfy_quant", legacy_scale = ".scale_weight",
                           legacy_input = ".scale_input";

Json discarded() {
    return {Json::value_t::discarded};
}

class Search {
  public:
    Search(const Checkpoint& checkpoint, const Loader& loader) : checkpoint_(checkpoint), loader_(loader) {}

    ActingMarkers run() {
        for (const Tensor& tensor : checkpoint_.tensors())
            if (tensor.name.ends_with(marker_suffix))
                add(tensor.name.substr(0, tensor.name.size() - marker_suffix.size()),
                    {of_tensor(tensor), false, false, &tensor});
        for (const auto& [key, value] : checkpoint_.metadata())
            if (key == quantization_metadata_key) read_header(value);
        if (!result_.has_header) convert_legacy();
        return std::move(result_);
    }

  private:
    void add(const std::string& layer, ActingMarker marker) {
        if (!checkpoint_.find(layer + ".weight")) {
            result_.without_weight.push_back(layer);
            return;
        }
        const auto before = result_.layers.find(layer);
        if (before != result_.layers.end()) marker.tensor = before->second.tensor;
        result_.layers.insert_or_assign(layer, std::move(marker));
    }

    MarkerJson of_tensor(const Tensor& tensor) const {
        if (dtype::is_float(tensor.dtype) && dtype::bits(tensor.dtype) <= 16 && tensor.dtype != HT_DTYPE_F16)
            return {discarded(), fmt::format("its marker is {}, whose bytes the loader cannot take",
                                             dtype::name(tensor.dtype))};
        if (tensor.bytes > largest_configuration)
            return {discarded(),
                    fmt::format("its marker has more than {} KiB", largest_configuration / 1024)};
        return read_marker_json(checkpoint_.read_all(tensor));
    }

    static MarkerJson of_entry(const Json& entry) {
        if (entry.is_object()) return {entry, ""};
        return {discarded(), fmt::format("its entry in the header is {}, not an object", entry.type_name())};
    }

    // Text that is no JSON does no harm. JSON of another form stops the load.
    void read_header(const std::string& text) {
        result_.has_header = true;
        const MarkerJson parsed = read_marker_json(std::as_bytes(std::span(text)));
        const Json header = Json::parse(text, nullptr, false);
        if (parsed.value.is_discarded()) {
            if (!header.is_discarded() && !header.is_null()) result_.header_fault = "TypeError";
            return;
        }
        const auto layers = parsed.value.find("layers");
        if (layers == parsed.value.end())
            result_.header_fault = "KeyError 'layers'";
        else if (!layers->is_object())
            result_.header_fault = "AttributeError";
        else
            add_entries(*layers);
    }

    // Prefixes are taken off before the entries are applied for the second time.
    void add_entries(const Json& layers) {
        const std::string prefix = common_prefix(checkpoint_);
        for (const auto& [layer, entry] : layers.items()) {
            const bool there = checkpoint_.find(layer + ".weight") != nullptr;
            add(there || prefix.empty() || !checkpoint_.find(prefix + layer + ".weight") ? layer
                                                                                         : prefix + layer,
                {of_entry(entry), true, false, nullptr});
        }
    }

    // What the file's mark speaks for: all that is below its prefix.
    std::optional<std::string_view> prefix_of_mark(std::string_view name) const {
        if (name != loader_.legacy_marker && !name.ends_with("." + loader_.legacy_marker))
            return std::nullopt;
        return name.substr(0, name.size() - loader_.legacy_marker.size());
    }

    void convert_legacy() {
        if (loader_.legacy_marker.empty()) return;
        std::vector<std::string_view> prefixes;
        for (const Tensor& tensor : checkpoint_.tensors())
            if (const auto prefix = prefix_of_mark(tensor.name)) prefixes.push_back(*prefix);
        if (prefixes.empty()) return;
        const auto is_below = [&](const std::string& name) {
            return std::ranges::any_of(prefixes,
                                       [&](std::string_view prefix) { return name.starts_with(prefix); });
        };
        for (const Tensor& tensor : checkpoint_.tensors()) {
            if (!is_below(tensor.name)) continue;
            if (tensor.name.ends_with(legacy_scale))
                add(tensor.name.substr(0, tensor.name.size() - legacy_scale.size()),
                    {{Json{{"format", loader_.legacy_label}}, ""}, false, true, nullptr});
            if (tensor.name.ends_with(legacy_input) && element_count(tensor.shape).value_or(0) != 1)
                result_.refused_scale = &tensor;
        }
    }

    const Checkpoint& checkpoint_;
    const Loader& loader_;
    ActingMarkers result_;
};

}  // namespace

ActingMarkers acting_markers(const Checkpoint& checkpoint, const Loader& loader) {
    return Search(checkpoint, loader).run();
}

}  // namespace halftone
