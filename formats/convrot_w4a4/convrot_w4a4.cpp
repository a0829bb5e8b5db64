// 4-bit integers with a scale per row, of rows that are rotated.

#include <string>
#include <string_view>

#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/activations.hpp>
#include <halftone/toolbox/int4.hpp>
#include <halftone/toolbox/matrix_source.hpp>
#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

#include "convrot_w4a4_kernels.hpp"
#include "convrot_w4a4_variants.hpp"

HALFTONE_KERNEL_IMAGE(convrot_w4a4_device)

namespace halftone::convrot_w4a4 {

namespace {

constexpr const char* label_name = "convrot_w4a4";
constexpr const char* linear_names[] = {"int8", "int4", nullptr};
constexpr uint64_t run_of_loaders = 64;  // what their kernels take at a time

toolbox::ScalarFormat::Parts parts(const ht_source& source, uint64_t most, toolbox::ScaleFit fit) {
    toolbox::demand_matrix(source, "convrot_w4a4", toolbox::Stacks::taken);
    const uint64_t rows = source.rows, cols = source.cols;
    if (source.dialect != HT_DIALECT_COMFY) throw Refused("convrot_w4a4 has no other layout than ComfyUI's");
    if (source.wants & HT_WANTS_COLUMNS)
        throw Refused("loaders tell the model by its number of columns, which two codes in a byte halve");
    if (cols % run_of_loaders != 0)
        throw Refused(std::to_string(cols) + " columns are no multiple of 64, as its loaders need");

    const Kernels& table = kernels(cpu_level());
    toolbox::ScalarFormat::Parts parts{table.divided,
                                       toolbox::scalar_levels<toolbox::Int4>(),
                                       toolbox::ScaleGroups::row(rows, cols),
                                       PerRow::scale,
                                       {{HT_ROLE_WEIGHT, ".weight", HT_DTYPE_I8, {rows, cols / 2}},
                                        {HT_ROLE_SCALE, ".weight_scale", HT_DTYPE_F32, {rows}}}};
    parts.scaling = toolbox::Scaling::divide;
    parts.fit = fit;
    parts.input_scale = HT_INPUT_SCALE_NEVER;
    parts.packing = toolbox::Packing::low_nibble_first;
    parts.rotation = {toolbox::rotation_group(cols, most), table.rotate};
    parts.zeros_have_scales_of_one = false;  // the floor, as comfy-kitchen
    return parts;
}

}  // namespace

class ConvrotW4a4 : public toolbox::ScalarFormat {
  public:
    static constexpr PluginInfo info{"convrot_w4a4", "1.0.0",
                                     "4-bit integers with a scale per row, of rotated rows", "MIT"};

    static constexpr ht_option options[] = {
        toolbox::rotation_group_option,
        choice("linear_dtype", "int8", linear_names,
               "what loaders multiply with: activations in 8 bits, or in 4, which loses four times more"),
        toolbox::scale_option,
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, label_name, "linear_dtype=int8", "comfyui>=2026-07", "int8 per row, rotated",
         "NVIDIA from Turing on",
         "8 bits on the CUDA and HIP backends only: elsewhere, and on NVIDIA with a PyTorch below CUDA 13, "
         "activations are rounded to 4 bits"},
        {sizeof(ht_label), 0, label_name, "linear_dtype=int4", "comfyui>=2026-07", "int4 per row, rotated",
         "NVIDIA from Turing to Ada", "activations in 4 bits lose more than the weights do"},
    };

    ConvrotW4a4(const ht_source& source, const Options& options)
        : ScalarFormat(parts(source, toolbox::wanted_rotation(options),
                             options.choice_as<toolbox::ScaleFit>("scale"))),
          linear_dtype_(linear_names[options.choice("linear_dtype") == linear_names[1]]),
          wants_(source.wants) {}

    void describe(JsonSink sink) const {
        sink.text("format", label_name);
        sink.whole("convrot_groupsize", static_cast<int64_t>(parts_.rotation.group));
        sink.text("linear_dtype", linear_dtype_);
        toolbox::write_full_precision(sink, wants_);
    }

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<ConvrotW4a4>(id, kernel_image(HALFTONE_IMAGE(convrot_w4a4_device)));
    }

    void round_activations(const float*, const Band& rows) const {
        if (linear_dtype_ == linear_names[0])
            toolbox::round_rows_to_integers(127, 1e-30f, rows);
        else
            toolbox::round_rows_to_integers(7, 1e-10f / 7, rows);
    }

    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
        const toolbox::StoredLayer layer(found);
        if (!layer.marker() || layer.marker()->text("format") != label_name)
            throw Refused("it is not labelled " + std::string(label_name));
        const ht_tensor* const weight = layer.tensor(".weight");
        if (!weight || weight->rank != 2 || !toolbox::is_byte(*weight))
            throw Refused("it has no I8 matrix as its weight");
        const uint64_t rows = weight->shape[0], cols = 2 * weight->shape[1];
        const ht_tensor* const scales = layer.tensor(".weight_scale");
        if (!scales || !toolbox::is_float(*scales))
            throw Refused("there is no .weight_scale in floating point");
        using Shape = std::vector<uint64_t>;
        const Shape shape = toolbox::shape_of(*scales);
        if (shape != Shape{rows} && shape != Shape{rows, 1})
            throw Refused("its scale has shape " + toolbox::to_string(shape) + ", not [" +
                          std::to_string(rows) + "]");
        const int64_t group =
            layer.number_or("convrot_groupsize", static_cast<int64_t>(toolbox::usual_rotation));
        if (!toolbox::rotates_in(group, cols))
            throw Refused("its marker says that it is rotated in groups of " + std::to_string(group) +
                          ", which cannot be");
        const std::string_view linear = layer.value("linear_dtype").value_or("\"int4\"");
        if (linear != "\"int8\"" && linear != "\"int4\"")
            throw Refused("its linear_dtype is " + std::string(linear.substr(0, 40)));
        options.set_whole("rotation_group", group);
        options.set_choice("linear_dtype", linear_names[linear == "\"int4\""]);
        source.dtype = HT_DTYPE_BF16;
        source.dialect = HT_DIALECT_COMFY;
        source.wants = layer.wants_full_precision();
        toolbox::set_matrix(source, rows, cols);
    }

  private:
    const char* linear_dtype_;
    uint32_t wants_;
};

}  // namespace halftone::convrot_w4a4

HALFTONE_FORMAT(halftone::convrot_w4a4::ConvrotW4a4)
