#include "core/plan/dequantize.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/plan/metadata.hpp"
#include "core/plan/outputs.hpp"
#include "core/plan/selection.hpp"

namespace halftone {
namespace {

class Dequantizer {
  public:
    Dequantizer(const DequantizeSettings& settings, Registry& registry)
        : settings_(settings), registry_(registry) {
        plan_.checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(settings.input));
        plan_.warnings = plan_.checkpoint->remarks();
        if (settings.model) plan_.read_besides.push_back(settings.model);
        plan_.pipeline.input.path = settings.input;
        plan_.pipeline.output.path = settings.output;
        plan_.pipeline.output.replace = settings.replace;
        plan_.pipeline.output.shard_size = settings.shard_size;
    }

    Plan plan() {
        recognize();
        for (const auto& [option, patterns] :
             {std::pair("--keep-unknown", &keep_), std::pair("--remove-unknown", &remove_)})
            for (const std::string& unused : patterns->unused())
                plan_.warnings.push_back(fmt::format(
                    "{}: '{}' matches no tensor of a quantized layer that its format does not know", option,
                    text::printable(unused)));
        const auto n = static_cast<uint32_t>(plan_.checkpoint->tensors().size());
        for (uint32_t i = 0; i < n; ++i)
            plan_.tensors.push_back(decide(i));
        count();
        std::vector<Metadata> of_files;
        for (const CheckpointFile& file : plan_.checkpoint->files())
            of_files.push_back(file.metadata);
        lay_out_files(plan_, output_metadata(plan_.checkpoint->metadata(), of_files, changes_));
        return std::move(plan_);
    }

  private:
    void recognize() {
        Recognition recognition(plan_.checkpoint, registry_, settings_.model);
        for (const QuantizedLayer& layer : quantized_layers(*plan_.checkpoint)) {
            auto matrix = recognized(recognition, layer);
            for (const Tensor* part : matrix->parts)
                if (part) companions_.insert(part->name);
            companions_.insert(layer.companions.begin(), layer.companions.end());
            settle_unclaimed(*matrix);
            companions_.erase(matrix->weight->name);
            changes_.touched.insert(layer.name);
            matrices_.emplace(matrix->weight->name, std::move(matrix));
        }
        if (matrices_.empty() && std::ranges::none_of(plan_.checkpoint->tensors(), is_unscaled))
            throw Error(Exit::usage, os::utf8(settings_.input), "holds no quantized layer",
                        "'halftone inspect' shows what a file holds");
        for (std::string& marker : whole_file_markers(*plan_.checkpoint))
            companions_.insert(std::move(marker));
    }

    // What is named like a part of a quantization would be a part of none.
    void settle_unclaimed(const StoredMatrix& matrix) {
        for (const Tensor* tensor : matrix.unclaimed)
            if (!is_named_like_companion(tensor->name) && keep_.matches(tensor->name))
                kept_.insert(tensor->name);
        demand_claimed(
            matrix,
            [&](const Tensor& tensor) { return kept_.contains(tensor.name) || remove_.matches(tensor.name); },
            [](const Tensor& tensor, const std::string& pattern) {
                const std::string remove =
                    fmt::format("--remove-unknown '{}' leaves such tensors out", pattern);
                return is_named_like_companion(tensor.name)
                           ? remove
                           : fmt::format("{}, and --keep-unknown '{}' copies them", remove, pattern);
            });
    }

    std::shared_ptr<const StoredMatrix> recognized(Recognition& recognition,
                                                   const QuantizedLayer& layer) const {
        try {
            return recognition.recognize(layer);
        } catch (const Unrecognized& why) {
            const Tensor* const weight = plan_.checkpoint->find(layer.name + ".weight");
            const bool flat = weight && weight->shape.size() == 1;
            if (settings_.model || !flat) throw;
            throw Error(why.code(), why.where(), why.problem(),
                        why.advice() +
                            "\nif only its shape is missing: --shapes-from MODEL names the "
                            "checkpoint that it was made from");
        }
    }

    // Numbers of 8 bits that were cast, with no scale: they are what they are, and few programs compute with
    // them.
    static bool is_unscaled(const Tensor& tensor) {
        return tensor.dtype == HT_DTYPE_F8_E4M3 || tensor.dtype == HT_DTYPE_F8_E5M2;
    }

    // Older files have scales beside layers that were never quantized, too.
    bool is_dummy(const std::string& name) const {
        return std::ranges::any_of(companion_suffixes(), [&](std::string_view suffix) {
            return name.ends_with(suffix) &&
                   plan_.checkpoint->find(name.substr(0, name.size() - suffix.size()) + ".weight");
        });
    }

    PlannedTensor decide(uint32_t index) {
        const Tensor& source = plan_.checkpoint->tensors()[index];
        PlannedTensor planned;
        planned.source = index;
        if (const auto found = matrices_.find(source.name); found != matrices_.end()) {
            planned.action = Action::cast;
            planned.stored = found->second;
            planned.reason = "was " + found->second->shown;
            planned.outputs.push_back(plain_output(source.name, *found->second));
        } else if (kept_.contains(source.name)) {
            planned.reason = planned.reason_class = "kept as --keep-unknown says";
            planned.outputs.push_back(output_of_kept(source, source.dtype));
        } else if (companions_.contains(source.name) || is_dummy(source.name)) {
            planned.action = Action::remove;
            planned.reason = planned.reason_class = "belonged to a quantized layer";
        } else if (is_unscaled(source)) {
            planned.action = Action::cast;
            planned.reason = "was cast to 8 bits, without a scale";
            planned.outputs.push_back(output_of_kept(source, settings_.dtype));
        } else {
            planned.reason = planned.reason_class = "not quantized";
            planned.outputs.push_back(output_of_kept(source, source.dtype));
        }
        return planned;
    }

    PlannedOutput plain_output(const std::string& name, const StoredMatrix& matrix) const {
        PlannedOutput output;
        output.name = name;
        output.dtype = settings_.dtype;
        output.shape = matrix.plan->source().shape;
        output.origin = Origin::narrowed;
        const auto bytes = byte_count(output.dtype, output.shape);
        if (!bytes) fail(Exit::input, name, "claims an impossible shape {}", to_string(output.shape));
        output.bytes = *bytes;
        return output;
    }

    void count() {
        PlanTotals& totals = plan_.totals;
        for (const PlannedTensor& planned : plan_.tensors) {
            totals.bytes_before += plan_.checkpoint->tensors()[planned.source].bytes;
            for (const PlannedOutput& output : planned.outputs)
                totals.bytes_after += output.bytes;
            ++(planned.action == Action::cast   ? totals.cast
               : planned.action == Action::keep ? totals.kept
                                                : totals.removed);
        }
    }

    const DequantizeSettings& settings_;
    Registry& registry_;
    Plan plan_;
    std::map<std::string, std::shared_ptr<const StoredMatrix>> matrices_;  // by the weight's name
    std::set<std::string> companions_, kept_;
    NamePatterns keep_{settings_.keep_unknown}, remove_{settings_.remove_unknown};
    LayerChanges changes_;
};

}  // namespace

Plan make_dequantize_plan(const DequantizeSettings& settings, Registry& registry) {
    return Dequantizer(settings, registry).plan();
}

}  // namespace halftone
