// INT8: one scale per tile, per run of a row, per tensor or per row; rows may be rotated.

#include <optional>
#include <string>
#include <string_view>

#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/activations.hpp>
#include <halftone/toolbox/int8.hpp>
#include <halftone/toolbox/matrix_source.hpp>
#include <halftone/toolbox/rotation.hpp>
#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

#include "int8_kernels.hpp"
#include "int8_variants.hpp"

HALFTONE_KERNEL_IMAGE(int8_device)

namespace halftone::int8 {

namespace {

enum class Layout { block, lode, tensor, row };
constexpr const char* layout_names[] = {"block", "lode", "tensor", "row", nullptr};
constexpr const char* label_names[] = {"int8_blockwise", "int8_lodewise", "int8_tensorwise",
                                       "int8_tensorwise"};
constexpr const char* rotation_names[] = {"none", "hadamard", nullptr};
constexpr uint64_t usual_block = 128;

constexpr bool has_blocks(Layout layout) {
    return layout == Layout::block || layout == Layout::lode;
}

struct Choice {
    Layout layout = Layout::row;
    uint64_t block = usual_block;
    uint64_t rotation = 0;  // 0: none
    std::string remark = {};
};

Choice chosen(const ht_source& source, const Options& options) {
    Choice choice{options.choice_as<Layout>("scaling"), static_cast<uint64_t>(options.whole("block_size")),
                  0};
    if (!has_blocks(choice.layout) && choice.block != usual_block)
        choice.remark = "without blocks: block_size needs another scaling";
    if (options.choice("rotation") == "none") {
        if (options.whole("rotation_group") != static_cast<int64_t>(toolbox::usual_rotation))
            choice.remark += std::string(choice.remark.empty() ? "" : "; ") +
                             "unrotated: rotation_group needs rotation = \"hadamard\"";
        return choice;
    }
    const bool as_found = source.wants & HT_WANTS_AS_FOUND && choice.layout == Layout::tensor;
    if (choice.layout != Layout::row && !as_found) throw Refused("rotation needs scaling = \"row\"");
    if (source.dialect == HT_DIALECT_LEGACY)
        throw Refused("the legacy layout cannot say that rows are rotated");
    const uint64_t most = toolbox::wanted_rotation(options);
    choice.rotation = toolbox::rotation_group(source.cols, most);
    if (choice.rotation == 0)  // the marker says so, too
        choice.remark = most < 16 ? "unrotated: 4 does not divide the columns"
                                  : "unrotated: no power of 4 from 16 on divides the columns";
    else if (source.experts > 1)
        choice.remark = "rotated in a stack of experts: ComfyUI 0.33.0 and older do not rotate those back";
    return choice;
}

toolbox::ScalarFormat::Parts parts(const ht_source& source, const Choice& choice, toolbox::ScaleFit fit) {
    const bool as_loaders_stack = source.dialect == HT_DIALECT_COMFY && !has_blocks(choice.layout);
    toolbox::demand_matrix(source, "int8",
                           as_loaders_stack ? toolbox::Stacks::taken : toolbox::Stacks::refused);
    const uint64_t rows = source.rows, cols = source.cols;
    if (source.dialect == HT_DIALECT_BITSANDBYTES) throw Refused("bitsandbytes stores INT8 in another way");
    if (has_blocks(choice.layout)) toolbox::demand_whole_blocks(cols, choice.block, "columns");
    if (choice.layout == Layout::block) toolbox::demand_whole_blocks(rows, choice.block, "rows");

    const bool legacy = source.dialect == HT_DIALECT_LEGACY;
    if (legacy && source.wants & HT_WANTS_FULL_PRECISION_MM)
        throw Refused("the legacy layout cannot ask for products in full precision");
    const Kernels& table = kernels(cpu_level());
    toolbox::ScalarFormat::Parts parts{
        has_blocks(choice.layout) ? table.divided : table.multiplied,
        toolbox::scalar_levels<toolbox::Int8>(),
        toolbox::ScaleGroups::tensor(rows, cols),
        PerTensor::scale,
        {{HT_ROLE_WEIGHT, ".weight", HT_DTYPE_I8, {rows, cols}},
         {HT_ROLE_SCALE, legacy ? ".scale_weight" : ".weight_scale", HT_DTYPE_F32, {}}},
        has_blocks(choice.layout) ? toolbox::Scaling::divide : toolbox::Scaling::multiply,
        fit,
        has_blocks(choice.layout) && !legacy ? HT_INPUT_SCALE_REQUIRED : HT_INPUT_SCALE_NEVER};
    std::vector<uint64_t>& shape = parts.stored[1].shape;
    if (choice.layout == Layout::row) {
        parts.groups = toolbox::ScaleGroups::row(rows, cols);
        parts.scale = PerRow::scale;
        shape = {rows, 1};
    } else if (has_blocks(choice.layout)) {
        const uint64_t tall = choice.layout == Layout::block ? choice.block : 1;
        parts.groups = toolbox::ScaleGroups::tile(rows, cols, tall, choice.block);
        parts.scale = InBlocks::scale;
        shape = {rows / tall, cols / choice.block};
    }
    parts.variant = static_cast<uint16_t>(choice.layout);
    parts.rotation = {choice.rotation, table.rotate};
    return parts;
}

// ------------------------------------------------------------------------------------------- reading back

// From the shape of the scales. Labels decide only what a shape leaves open, since writers have put tiles
// under the label of runs, and rows and runs under the label of tiles.
Choice layout_of(const std::string& label, bool per_row, std::optional<int64_t> group,
                 const std::vector<uint64_t>& scales, uint64_t rows, uint64_t cols, bool stack) {
    const bool labelled_block = label == label_names[0], labelled_lode = label == label_names[1];
    using Shape = std::vector<uint64_t>;
    const bool matrix = scales.size() == 2 && scales[0] && scales[1] && cols % scales[1] == 0;
    const uint64_t wide = matrix ? cols / scales[1] : 0;
    const bool runs = matrix && scales[0] == rows;
    const bool tiles = matrix && rows % scales[0] == 0 && rows / scales[0] == wide;
    const auto of_blocks = [&](Layout layout) {
        const bool named = group && *group > 0 && static_cast<uint64_t>(*group) != wide;
        // A group of 1 is what a converter wrote when it took rows or runs for tiles.
        if (named && *group != 1)
            throw Refused("its marker says groups of " + std::to_string(*group) + ", but the scales, " +
                          toolbox::to_string(scales) + ", are of " + std::to_string(wide));
        return Choice{layout, wide, 0};
    };
    if (labelled_block && tiles && wide > 1) return of_blocks(Layout::block);
    if (labelled_lode && runs && !(tiles && wide == 1)) return of_blocks(Layout::lode);
    // Loaders see by three dimensions that every row of every expert has a scale, and by fewer that every
    // expert has one.
    if (stack && scales == Shape{rows, 1}) return {Layout::row};
    if (stack && scales.size() == 2)
        throw Refused(
            "loaders of a stack take scales of the shape [experts, rows, 1], and each expert here has " +
            toolbox::to_string(scales));
    if (stack && scales == Shape{rows} && rows > 1)
        throw Refused(
            "loaders of a stack take scales of each row in the shape [experts, rows, 1], and here they "
            "have two dimensions");
    if (per_row && (scales == Shape{rows, 1} || scales == Shape{rows})) return {Layout::row};
    if (scales.empty() || scales == Shape{1} || scales == Shape{1, 1}) return {Layout::tensor};
    if (scales == Shape{rows} || scales == Shape{rows, 1}) return {Layout::row};
    if (label != label_names[2]) {
        if (tiles) return of_blocks(Layout::block);
        if (runs) return of_blocks(Layout::lode);
    }
    throw Refused("its scale has shape " + toolbox::to_string(scales) + ", which fits no layout of " +
                  std::to_string(rows) + " x " + std::to_string(cols) +
                  (label.empty() ? "" : " under '" + label + "'"));
}

}  // namespace

class Int8 : public toolbox::ScalarFormat {
  public:
    static constexpr PluginInfo info{"int8", "1.0.0",
                                     "8-bit integers with scales per tile, run, tensor or row", "MIT"};

    static constexpr ht_option options[] = {
        choice("scaling", "row", layout_names,
               "what shares one scale: a square tile, a run of a row, the tensor, or a row"),
        whole("block_size", "128", 2, 65536, "rows and columns of a tile, or length of a run"),
        choice("rotation", "none", rotation_names, "of every row, with scaling = \"row\": spreads outliers"),
        toolbox::rotation_group_option,
        toolbox::scale_option,
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, "int8_blockwise", "scaling=block", "comfyui-fork", "int8 in blocks of 128",
         "NVIDIA from Turing on, with Triton",
         "mainline ComfyUI refuses the file; the fork multiplies with blocks of 128 only"},
        {sizeof(ht_label), 0, "int8_lodewise", "scaling=lode", "comfyui-fork", "int8 in blocks of 128",
         "NVIDIA from Turing on, with Triton",
         "mainline ComfyUI refuses the file; the fork multiplies with blocks of 128 only"},
        {sizeof(ht_label), 0, "int8_tensorwise", "scaling=tensor", "comfyui>=2026-06; stable-diffusion.cpp",
         "int8, scaled as they come", "NVIDIA from Turing on", ""},
        {sizeof(ht_label), 0, "int8_tensorwise", "scaling=row", "comfyui>=2026-06; stable-diffusion.cpp",
         "int8, scaled as they come; rotated where the weight is", "NVIDIA from Turing on", ""},
        {sizeof(ht_label), 0, "int8_tensorwise", "scaling=row rotation=hadamard experts=stack",
         "comfyui>=0.38.1", "int8, scaled as they come; rotated where the weight is", "NVIDIA from Turing on",
         "0.33.0 loads it and does not rotate back; the first release that does is unknown"},
        {sizeof(ht_label), 0, "", "layout=legacy", "", "none", "",
         "scale_weight beside the weight and nothing that names the layout"},
    };

    Int8(const ht_source& source, const Options& options)
        : Int8(source, chosen(source, options), options.choice_as<toolbox::ScaleFit>("scale")) {}

    Facts facts() const {
        Facts facts = ScalarFormat::facts();
        facts.remark = choice_.remark;
        return facts;
    }

    void describe(JsonSink sink) const {
        sink.text("format", label_names[static_cast<int>(choice_.layout)]);
        if (has_blocks(choice_.layout)) toolbox::write_group_size(sink, choice_.block);
        toolbox::write_full_precision(sink, wants_);
        if (choice_.rotation)
            sink.flag("convrot", true).whole("convrot_groupsize", static_cast<int64_t>(choice_.rotation));
        if (choice_.layout == Layout::row) sink.flag("per_row", true);
    }

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<Int8>(id, kernel_image(HALFTONE_IMAGE(int8_device)));
    }

    void round_activations(const float*, const Band& rows) const {
        if (legacy_) return;  // which no loader takes
        if (has_blocks(choice_.layout))
            toolbox::truncate_blocks_to_int8(usual_block, rows);
        else
            toolbox::round_rows_to_integers(127, 1e-30f, rows);
    }

    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
        const toolbox::StoredLayer layer(found);
        const ht_tensor* const weight = layer.tensor(".weight");
        if (!weight || weight->rank != 2) throw Refused("it has no matrix as its weight");
        const ht_tensor* scales = layer.tensor(".weight_scale");
        const bool legacy = !scales;
        if (legacy) scales = layer.tensor(".scale_weight");
        if (!scales) throw Refused("its weight has no scale");
        std::string label;
        if (layer.marker()) label = layer.marker()->text("format").value_or("");
        // Without a label bytes may be anything.
        if (weight->dtype != HT_DTYPE_I8 && !(label == label_names[2] && toolbox::is_byte(*weight)))
            throw Refused("its weight is not stored as I8");
        if (!toolbox::is_float(*scales)) throw Refused("its scale is not stored as floating point");
        if (layer.marker() && label != label_names[0] && label != label_names[1] && label != label_names[2])
            throw Refused("its format is '" + label + "'");

        const uint64_t rows = weight->shape[0], cols = weight->shape[1];
        const Choice choice = layout_of(label, layer.is_set("per_row"), layer.number("group_size"),
                                        toolbox::shape_of(*scales), rows, cols, layer.experts() > 1);
        const bool rotated = layer.is_set("convrot");
        constexpr auto usual = static_cast<int64_t>(toolbox::usual_rotation);
        const int64_t rotation = rotated ? layer.number_or("convrot_groupsize", usual) : usual;
        if (rotated && (has_blocks(choice.layout) || !toolbox::rotates_in(rotation, cols)))
            throw Refused("its marker says that it is rotated in groups of " + std::to_string(rotation) +
                          ", which cannot be");
        if (rotated && scales->dtype == HT_DTYPE_F64)
            throw Refused("its rows are rotated, which loaders undo in F32 alone, and its scale is F64");
        options.set_choice("scaling", layout_names[static_cast<int>(choice.layout)]);
        options.set_whole("block_size", static_cast<int64_t>(choice.block));
        options.set_choice("rotation", rotation_names[rotated]);
        options.set_whole("rotation_group", rotation);
        source.dtype = weight->dtype;
        source.dialect = legacy ? HT_DIALECT_LEGACY : HT_DIALECT_COMFY;
        source.wants = layer.wants_full_precision();
        if (rotated && choice.layout == Layout::tensor) source.wants |= HT_WANTS_AS_FOUND;  // nobody's writer
        toolbox::set_matrix(source, rows, cols);
    }

  private:
    Int8(const ht_source& source, const Choice& choice, toolbox::ScaleFit fit)
        : ScalarFormat(parts(source, choice, fit)),
          choice_(choice),
          wants_(source.wants),
          legacy_(source.dialect == HT_DIALECT_LEGACY) {}

    Choice choice_;
    uint32_t wants_;
    bool legacy_;
};

}  // namespace halftone::int8

HALFTONE_FORMAT(halftone::int8::Int8)
