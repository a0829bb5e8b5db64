#include "core/plan/acting_markers.hpp"

#include <fmt/format.h>

#include "core/checkpoint/layer_configuration.hpp"
#include "core/checkpoint/quantized.hpp"
#include "core/plan/profile.hpp"

namespace halftone {
namespace {

constexpr std::string_view marker_suffix = ".comfy_quant", legacy_scale = ".scale_weight",
                           legacy_input = ".scale_input";

SortedJson discarded() {
    return SortedJson(SortedJson::value_t::discarded);
}

class Search {
  public:
    Search(const Checkpoint& checkpoint, const Loader& loader) : checkpoint_(checkpoint), loader_(loader) {}

    ActingMarkers run() {
        for (const Tensor& tensor : checkpoint_.tensors())
            if (tensor.name.ends_with(marker_suffix))
                add(tensor.name.substr(0, tensor.name.size() - marker_suffix.size()),
                    {std::nullopt, false, false, &tensor});
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

    static MarkerJson of_entry(SortedJson& entry) {
        if (entry.is_object()) return {std::move(entry), ""};
        return {discarded(), fmt::format("its entry in the header is {}, not an object", entry.type_name())};
    }

    // Text that is no JSON does no harm. JSON of another form stops the load, and so does what is nested so
    // deeply that the reader gives up.
    void read_header(const std::string& text) {
        result_.has_header = true;
        PythonJson read = read_python_json(text);
        if (read.too_deep) result_.header_fault = "RecursionError";
        if (read.value.is_discarded() || read.value.is_null()) return;
        if (!read.value.is_object()) {
            result_.header_fault = "TypeError";
            return;
        }
        const auto layers = read.value.find("layers");
        if (layers == read.value.end())
            result_.header_fault = "KeyError 'layers'";
        else if (!layers->is_object())
            result_.header_fault = "AttributeError";
        else
            add_entries(layers->get_ref<SortedJson::object_t&>());
    }

    // Prefixes are taken off before the entries are applied for the second time.
    void add_entries(SortedJson::object_t& layers) {
        const std::string prefix = common_prefix(checkpoint_);
        for (auto& [layer, entry] : layers) {
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

    MarkerJson legacy_marker(bool in_full_precision) const {
        SortedJson marker = {{"format", loader_.legacy_label}};
        if (in_full_precision) marker["full_precision_matrix_mult"] = true;
        return {std::move(marker), ""};
    }

    void convert_legacy() {
        if (loader_.legacy_marker.empty()) return;
        std::map<std::string_view, bool> prefixes;  // to whether full precision is asked for below it
        for (const Tensor& tensor : checkpoint_.tensors())
            if (const auto prefix = prefix_of_mark(tensor.name))
                prefixes[*prefix] |= element_count(tensor.shape) == 2;
        if (prefixes.empty()) return;
        for (const Tensor& tensor : checkpoint_.tensors()) {
            if (!tensor.name.ends_with(legacy_scale) && !tensor.name.ends_with(legacy_input)) continue;
            bool below = false, in_full_precision = false;
            const auto look_up = [&](std::string_view beginning) {
                const auto found = prefixes.find(beginning);
                if (found == prefixes.end()) return;
                below = true;
                in_full_precision = in_full_precision || found->second;
            };
            look_up("");  // prefixes are empty, or end in a dot
            const std::string_view name = tensor.name;
            for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1))
                look_up(name.substr(0, dot + 1));
            if (!below) continue;
            if (name.ends_with(legacy_scale))
                add(std::string(name.substr(0, name.size() - legacy_scale.size())),
                    {legacy_marker(in_full_precision), false, true, nullptr});
            if (tensor.name.ends_with(legacy_input) && element_count(tensor.shape).value_or(0) != 1)
                result_.refused_scale = &tensor;
        }
    }

    const Checkpoint& checkpoint_;
    const Loader& loader_;
    ActingMarkers result_;
};

}  // namespace

MarkerJson read(const Checkpoint& checkpoint, const ActingMarker& marker) {
    if (marker.json) return *marker.json;
    const Tensor& tensor = *marker.tensor;
    if (dtype::is_float(tensor.dtype) && dtype::bits(tensor.dtype) <= 16 && tensor.dtype != HT_DTYPE_F16)
        return {discarded(), fmt::format("its marker is {}, whose bytes the loader cannot take",
                                         dtype::name(tensor.dtype))};
    if (tensor.bytes > largest_configuration)
        return {discarded(), fmt::format("its marker has more than {} KiB", largest_configuration / 1024)};
    return read_marker_json(checkpoint.read_all(tensor));
}

ActingMarkers acting_markers(const Checkpoint& checkpoint, const Loader& loader) {
    return Search(checkpoint, loader).run();
}

}  // namespace halftone
