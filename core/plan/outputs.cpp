#include "core/plan/outputs.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/plan/metadata.hpp"

namespace halftone {
namespace {

PlannedOutput constant(std::string name, ht_dtype dtype, Shape shape, std::vector<std::byte> content) {
    PlannedOutput output;
    output.name = std::move(name);
    output.dtype = dtype;
    output.shape = std::move(shape);
    output.bytes = content.size();
    output.origin = Origin::text;
    output.content = std::move(content);
    return output;
}

std::vector<std::byte> bytes_of(std::string_view text) {
    std::vector<std::byte> result(text.size());
    std::memcpy(result.data(), text.data(), text.size());
    return result;
}

// A tensor of the format's; with experts, a stack of as many.
PlannedOutput stored_output(const std::string& name, const StoredTensor& stored, uint64_t experts) {
    PlannedOutput output;
    output.name = name;
    output.dtype = stored.dtype;
    output.shape = stored.shape;
    output.bytes = stored.bytes;
    if (experts > 1 && !stored.whole_file) {
        output.shape.insert(output.shape.begin(), experts);
        output.bytes *= experts;
    }
    return output;
}

PlannedOutput input_scale(const std::string& layer, ht_dialect dialect, const MeasuredInputs& measured) {
    const auto bits = std::bit_cast<std::array<std::byte, sizeof(float)>>(measured.otherwise);
    PlannedOutput output = constant(layer + (dialect == HT_DIALECT_LEGACY ? ".scale_input" : ".input_scale"),
                                    HT_DTYPE_F32, {}, {bits.begin(), bits.end()});
    if (!measured.inputs || !(measured.activation_max > 0)) return output;
    output.origin = Origin::measured;
    output.content.clear();
    output.measured = measured;
    return output;
}

}  // namespace

MatrixOutputs outputs_of_matrix(const std::string& layer, const std::string& prefix, const FormatPlan& plan,
                                ht_dialect dialect, MetadataForm form,
                                const std::optional<MeasuredInputs>& scale) {
    MatrixOutputs result;
    for (size_t i = 0; i < plan.stored().size(); ++i) {
        const StoredTensor& stored = plan.stored()[i];
        PlannedOutput output =
            stored_output((stored.whole_file ? prefix : layer) + stored.name, stored, plan.source().experts);
        output.origin = i == plan.weight_index() ? Origin::weight : Origin::companion;
        output.stored_index = static_cast<uint32_t>(i);
        if (stored.whole_file)
            result.whole_file.push_back(std::move(output));
        else if (output.origin == Origin::weight)
            result.outputs.insert(result.outputs.begin(), std::move(output));
        else
            result.outputs.push_back(std::move(output));
    }
    const Json description = plan.description();
    if (dialect == HT_DIALECT_COMFY && form != MetadataForm::header && !description.empty()) {
        const std::string text = python_json(description);
        result.outputs.push_back(
            constant(layer + ".comfy_quant", HT_DTYPE_U8, {text.size()}, bytes_of(text)));
    }
    if (scale) result.outputs.push_back(input_scale(layer, dialect, *scale));
    return result;
}

PlannedOutput output_of_kept(const Tensor& tensor, ht_dtype as) {
    PlannedOutput output;
    output.name = tensor.name;
    output.dtype = as;
    output.shape = tensor.shape;
    output.origin = as == tensor.dtype ? Origin::copy : Origin::narrowed;
    output.bytes = byte_count(as, tensor.shape).value();
    return output;
}

void lay_out_files(Plan& plan, const Metadata& metadata) {
    // Models may have millions of tensors: no maps, and nothing that grows by copying.
    size_t count = 0;
    for (const PlannedTensor& planned : plan.tensors)
        count += planned.outputs.size();
    std::vector<PlannedOutput*> by_name;
    std::vector<OutputTensor> tensors;
    by_name.reserve(count);
    tensors.reserve(count);
    for (PlannedTensor& planned : plan.tensors)
        for (PlannedOutput& output : planned.outputs) {
            by_name.push_back(&output);
            tensors.push_back({output.name, output.dtype, output.shape, output.bytes, 0});
        }
    std::ranges::sort(by_name, {}, &PlannedOutput::name);
    if (const auto twice = std::ranges::adjacent_find(by_name, {}, &PlannedOutput::name);
        twice != by_name.end())
        fail(Exit::usage, text::printable((*twice)->name), "two layers of the output would have this name");
    for (std::vector<OutputTensor>& shard :
         split_into_shards(std::move(tensors), plan.pipeline.output.shard_size)) {
        FileLayout layout = lay_out(std::move(shard), metadata);
        for (const OutputTensor& placed : layout.tensors) {
            PlannedOutput& output =
                **std::ranges::lower_bound(by_name, placed.name, {}, &PlannedOutput::name);
            output.file = static_cast<uint32_t>(plan.files.size());
            output.offset = placed.offset;
        }
        plan.output_bytes += layout.size;
        plan.files.push_back(std::move(layout));
    }
}

}  // namespace halftone
