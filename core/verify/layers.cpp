#include "core/verify/layers.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <halftone/ext/draft/column_scale.h>

#include "core/base/error.hpp"
#include "core/base/json_text.hpp"
#include "core/base/text.hpp"
#include "core/compare/layer_output.hpp"
#include "core/plan/stored_types.hpp"

namespace halftone {
namespace {

constexpr std::string_view marker_suffix = ".comfy_quant", weight_suffix = ".weight";

class LayerChecks {
  public:
    LayerChecks(std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<const Checkpoint> model,
                Registry& registry, Findings& findings)
        : checkpoint_(std::move(checkpoint)),
          model_(std::move(model)),
          registry_(registry),
          findings_(findings) {}

    std::vector<std::shared_ptr<const StoredMatrix>> run() {
        read_header();
        read_markers();
        compare_header_and_markers();
        find_orphans();
        std::vector<std::shared_ptr<const StoredMatrix>> matrices;
        try {
            Recognition recognition(checkpoint_, registry_, model_);
            for (const QuantizedLayer& layer : quantized_layers(*checkpoint_))
                if (auto matrix = recognized(recognition, layer)) {
                    check_parts(layer, *matrix);
                    matrices.push_back(std::move(matrix));
                }
        } catch (const Error& error) {
            add(error);
        }
        return matrices;
    }

  private:
    void add(const Error& error) {
        if (error.code() != Exit::input) throw error;
        findings_.add_text(error.where(),
                           error.problem() + (error.advice().empty() ? "" : "\n" + error.advice()));
    }

    bool has_weight(std::string_view layer) const {
        return checkpoint_->find(std::string(layer) + std::string(weight_suffix)) != nullptr;
    }

    void read_header() {
        for (const CheckpointFile& file : checkpoint_->files()) {
            const auto entry =
                std::ranges::find(file.metadata, quantization_metadata_key, &Metadata::value_type::first);
            if (entry == file.metadata.end()) continue;
            SortedJson whole = parse_sorted_json(entry->second);
            const auto layers = whole.is_object() ? whole.find("layers") : whole.end();
            if (!whole.is_object() || layers == whole.end() || !layers->is_object()) {
                findings_.add(
                    os::utf8(file.path), "its '{}' {}", quantization_metadata_key,
                    is_nested_too_deeply(entry->second) ? "is nested too deeply" : "names no layers");
                continue;
            }
            for (auto& [layer, configuration] : layers->get_ref<SortedJson::object_t&>()) {
                header_.insert_or_assign(layer, std::move(configuration));
                if (!has_weight(layer))
                    findings_.add(layer, "has an entry in the header's '{}', but there is no tensor '{}{}'",
                                  quantization_metadata_key, text::printable(layer), weight_suffix);
            }
        }
    }

    void read_markers() {
        // What is no JSON is told where the layer is recognized.
        for (LayerMarker& marker : layer_markers(*checkpoint_))
            if (!parse_sorted_json(marker.text).is_discarded())
                markers_.emplace(std::move(marker.layer), std::move(marker.text));
    }

    // Loaders believe the header, so a poorer entry there is as bad as a wrong one. Where some layers have
    // both, all of them should.
    void compare_header_and_markers() {
        const bool both =
            std::ranges::any_of(header_, [&](const auto& entry) { return markers_.contains(entry.first); });
        for (const auto& [layer, entry] : header_) {
            const auto marker = markers_.find(layer);
            if (marker == markers_.end()) {
                if (both && has_weight(layer))
                    findings_.add(layer, "has an entry in the header, but no {}, unlike other layers",
                                  marker_suffix);
            } else if (const SortedJson said = parse_sorted_json(marker->second); said != entry) {
                findings_.add(layer, "the header says {}, its {} {}", entry.dump(), marker_suffix,
                              said.dump());
            }
        }
        if (!both) return;
        for (const auto& [layer, marker] : markers_)
            if (!header_.contains(layer))
                findings_.add(layer, "has a {}, but no entry in the header, unlike other layers",
                              marker_suffix);
    }

    // Scales and markers whose weight is gone.
    void find_orphans() {
        const std::vector<std::string_view> suffixes = companion_suffixes();
        for (const Tensor& tensor : checkpoint_->tensors()) {
            const bool companion = std::ranges::any_of(
                suffixes, [&](std::string_view suffix) { return tensor.name.ends_with(suffix); });
            const bool has_layer = std::ranges::any_of(suffixes, [&](std::string_view suffix) {
                return tensor.name.ends_with(suffix) &&
                       has_weight(
                           std::string_view(tensor.name).substr(0, tensor.name.size() - suffix.size()));
            });
            if (companion && !has_layer) findings_.add(tensor.name, "belongs to a weight that is not there");
        }
    }

    std::shared_ptr<const StoredMatrix> recognized(Recognition& recognition, const QuantizedLayer& layer) {
        try {
            return recognition.recognize(layer);
        } catch (const Error& error) {
            add(error);
            return nullptr;
        }
    }

    void check_parts(const QuantizedLayer& layer, const StoredMatrix& matrix) {
        const std::vector<StoredTensor>& stored = matrix.plan->stored();
        for (size_t i = 0; i < stored.size(); ++i) {
            if (stored[i].whole_file) {
                check_whole_file(layer, stored[i].name);
            } else if (!matrix.parts[i]) {
                findings_.add(layer.name, "lacks its {}", stored[i].name);
            } else {
                check_type(*matrix.parts[i], stored[i]);
            }
        }
        for (const Tensor* tensor : matrix.unclaimed)
            findings_.add(tensor->name, "is not part of {}, the format of its layer", matrix.shown);
        check_input_scale(layer, matrix);
    }

    void check_type(const Tensor& tensor, const StoredTensor& stored) {
        if (stored.role == HT_ROLE_COLUMN_SCALE) return;  // of any float type
        if (!stands_for(tensor, stored))
            findings_.add(tensor.name, "is stored as {}, not as {}", dtype::name(tensor.dtype),
                          dtype::name(stored.dtype));
    }

    void check_whole_file(const QuantizedLayer& layer, const std::string& name) {
        if (!file_markers_) {
            file_markers_.emplace();
            for (const std::string& one : whole_file_markers(*checkpoint_))
                file_markers_->insert(one.substr(one.rfind('.') + 1));  // npos + 1 is 0
        }
        if (!file_markers_->contains(name))
            findings_.add(layer.name, "needs the file's marker '{}', which is not there", name);
    }

    void check_input_scale(const QuantizedLayer& layer, const StoredMatrix& matrix) {
        try {
            if (!stored_input_scale(*checkpoint_, layer.name) &&
                matrix.plan->facts().input_scale == HT_INPUT_SCALE_REQUIRED)
                findings_.add(layer.name, "lacks its .input_scale, which loaders of {} need", matrix.shown);
        } catch (const Error& error) {
            add(error);
        }
    }

    std::shared_ptr<const Checkpoint> checkpoint_, model_;
    Registry& registry_;
    Findings& findings_;
    std::map<std::string, SortedJson> header_;           // by layer
    std::map<std::string, std::string> markers_;         // likewise, as texts: trees take many times as much
    std::optional<std::set<std::string>> file_markers_;  // without their prefixes; unset: not looked for yet
};

}  // namespace

std::vector<std::shared_ptr<const StoredMatrix>> check_layers(
    const std::shared_ptr<const Checkpoint>& checkpoint, const std::shared_ptr<const Checkpoint>& model,
    Registry& registry, Findings& findings) {
    return LayerChecks(checkpoint, model, registry, findings).run();
}

}  // namespace halftone
